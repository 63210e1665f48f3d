"""Letters beyond ASCII by language: how frequent, and between which letters."""

OFTEN_CHINESE = (
    "的一是不了在人有我他这个们中来上大为和国地到以说时要就出会可也你对生能而子那得于着下自之年过发后作里用道行所然家事成方多经么去法学如"
    "都同现当没动面起看定天分还进好小部其些主样心她本前开但因只从想很太买喜欢手机差再般吃真给让电影服务非常店快东西问题质量感觉喝点做"
)
# Marks, where they stand (between Letters, Digits and _ other characters), and how frequent each of them is there.
MARKS = (
    ("’", "L_ _L", 0.0002),
    ("’", "D_ _D DL", 0.02),
    ("‘", "_L _D", 0.02),
    ("‚", "_L", 0.0002),
    ("’‘", "__", 0.005),
    ("“”", "_L L_ _D D_ __", 0.03),
    ("„", "_L _D __", 0.03),
    ("«»", "_L L_ _D D_ __", 0.02),
    ("—–", "__", 0.02),
    ("—", "LL L_ _L", 0.001),
    ("–", "L_ _L", 0.001),
    ("–", "LL", 0.0001),
    ("–", "DD D_ _D", 0.01),
    ("…", "L_ __ D_", 0.01),
    ("…", "LL _L", 0.002),
    ("•", "__ _L", 0.003),
    ("·", "__ _L", 0.003),
    ("´`", "LL L_ _L __", 0.002),
    ("€£", "_D D_ DD __ L_ DL", 0.01),
    ("¥¢", "_D D_ __", 0.001),
    ("°", "D_ DL __ L_", 0.01),
    ("ºª", "D_ DL L_", 0.004),
    ("©", "__ _D", 0.01),
    ("®™", "L_ __ D_", 0.003),
    ("½¼¾", "D_ DD __ _D DL", 0.002),
    ("²³", "L_ D_", 0.002),
    ("×±÷", "__ DD _D D_", 0.002),
    ("¿¡", "_L __", 0.02),
    ("\xa0", "__ L_ _L D_ _D LL DD DL LD", 0.003),
    ("§", "__ _D _L", 0.001),
    ("µ", "_L", 0.0005),
    ("，。！？、：；（）《》～", "LL L_ _L __ D_ _D LD DL DD", 0.01),
)
# For each language its letters beyond ASCII: how many of a thousand of them each is, and which letters stand before and
# after it, most frequent first ("_" is none). "é797/rd/_e": 797 of 1,000 are é; r, then d, is most often before it.
# Counted over the word frequencies of wordfreq 3.1 (Speer 2022); Albanian, Irish and Estonian over the translated
# messages of the programs of Debian 12. Those of Afrikaans and the German ß are estimates.
LETTERS = {
    "Afrikaans": "ë430/eiaonr/_rlen ê400/swrnlh/_end ô80/mnr/re ï40/eas/nts û20/r/e é20/_nl/_",
    "English": (
        "é402/rcfsthlmk_ndp/_mesrtlncdagb á80/m_tnluhscrizv/n_rslvcizdpe í56/rtcldausm_vnp/an_gsortclvk "
        "ü54/fm_grtjdbhlzw/rlnhb_sectdg ó47/i_lrmtcegdszj/n_prmswlb ñ43/eaiuo_ú/oae_i ö40/_rgjmkhblsft/r_ntdzmlshpkb "
        "è39/irl_shmdpntgf/rsnm_cglvq ç33/nar_ih/aoeã_ à29/_jltfh/_bn ã20/so_nçihrmt/o_e â19/_hpmércil/_tcnm "
        "ä15/_hjtrglpwvmks/r_ngutsimfhca ú13/asptr_nmlcfjd/l_snbñctmadj ô12/chrt_dpa/tmn_lpi å11/_pgmekshrfn/_rlkns "
        "ê10/_rtfmculbnpi/t_mspnvl ë10/oati_n/_lnts ø9/_jsmrtbnk/r_nydlbm ï9/a_o/v_csdtra"
    ),
    "French": (
        "é603/_rtdnsmlpgivh/_terscpgldnvm à148/_lj/_ è99/rilmtpcdhgn/rsmtcgnvl ê55/_mrtpufvn/tmcv ç39/_naer/aou "
        "ô15/trchpl/tlmpn â9/_rbhlégpt/tcgmlnb î9/ao_d/tnlcm ù9/o/_ û7/osdrfm/tr_l œ4/_csnvhb/ui ï2/aoue/sdn_q "
        "ë1/oau/l_nts"
    ),
    "German": (
        "ü461/f_rtmwlkbhnds/rbhcnstgld ä340/hltrwfmn_spzg/nthruclsgdfm ö194/khmr_ltvwnsfb/nrsgfhlctd "
        "ß120/oieauäüö/e_tleani é3/rfntlsm_d/_rsetmldn"
    ),
    "Spanish": (
        "ó282/ictrslzndmg/n_mlrg í242/rdsltcabunvmf/a_stcnodmf á198/mrt_clpufnz/s_ncrtlgmfbp "
        "é135/ui_mrtsldvcnb/_nsrlxctdp ñ84/aeiuo/oaeí ú57/_gpnmtarsfbc/nbl_smtapc ü2/gmf/eíirn"
    ),
    "Portuguese": (
        "ã252/nçstmirh/o_e é171/_tbumslrvpf/_mrsdct ç153/anieuro/ãaõo á125/rtj_lhsvmndip/_rsvgtlcbfp "
        "í76/alrstvmuncf_d/cdvstnl_prmaf ê63/crtdiulgvmbn/_nsm ó60/strpn_lcmgdf/r_splxdgctinv "
        "ú30/_pnmadetrji/bslnmdvcrt õ29/çshitpr/e à23/_/_s â10/ctrl_fnmgpivd/nm ô8/nrlmtp_vc/nm_srld º3/_nk/_lsf"
    ),
    "Italian": (
        "è385/_ho/_ à254/tril/_ ù128/ist/_ ò90/uritndcplvs/_ é69/hn_s/_ ì67/sdlr/_ á2/tirnm/_nlsr í2/srtcl/_angs "
        "ó1/riule/_npmr ú1/isanp/_slñb"
    ),
    "Dutch": (
        "é389/_éhevfktrsd/né_lrt ë375/ieao/_nlrie ï79/eauo/nsedtmr_b è40/ihcnr_bd/r_nvmtlsc ó33/óv_zngmicet/ór_nfgkm "
        "ü18/m_egfudzrbtkw/nbrlshmpc ö14/ormjgk_hflb/rnplh_tsmdz á12/mnd_sáuwhrtzk/n_lrtxásv ç7/anhr_/aoeu "
        "í7/rcd_tnval/agnose_jc à6/_ljd/_tln ê4/ugrtf_/tnpm ã2/son_m/o_ â2/lh_wm/nt_lc ñ2/aeiúu/aoe ú2/sn_ph/_snbñ "
        "ä2/harlm/nrutl ô1/chr_d/tmn_l ø1/j_lsr/r_fyd î1/a_ong/tlmn_"
    ),
    "Danish": (
        "å452/psm_fgnthrlb/_rdelbns æ278/vrltsnmjkf_hp/rnlskgtdvm ø262/fks_grhltbdmn/rdbjlgnvsmk é7/_dfnlkh/n_tre"
    ),
    "Norwegian": "å646/_psnmfgvtrlh/_rtpdln ø274/jf_rhstldmbnp/ryknldtpvsm_ æ75/vlnjsb_tf/rv é3/_drfstnlk/n_etmr",
    "Swedish": (
        "ä430/_vlnrshtjdkmb/rnltgsvmkd å333/psr_gfnmdvlth/_rngtlsdk ö235/f_ghrkslbtmdj/rvkdstnpgljm é2/dmrtn/_ner"
    ),
    "Finnish": "ä912/tälvsknmhpjid/_änitlsmyhrkv ö87/ytlkinöps/sn_iytklrmhpö",
    "Icelandic": (
        "ð280/aieræuíáóöfg/_iausr í163/_vslrtm/_sknðmtfu á155/_rjmþnhfls/_rltðsnkhf þ107/_/eaváúórijæé "
        "ó61/jtþrf_dksbhml/rltðnk_smpfvh æ60/vrtbh_nflsgmþ/rtðkmgnslf ö56/j_tlhvsmrgbfk/lrgnðfkmt_ "
        "ú53/_hnþrbjst/_ntrsailkmð é50/_shfrmþlv/rgtl_k ý15/nls_þkdrtb/srnjmtð_lk"
    ),
    "Catalan": (
        "é234/_mbrtcvu/s_ ó194/ismdlnr/_ns à145/rtml_cinfpdbs/_crnstlmgfp í111/ltmrxusvafcdn/_stcnldmfea "
        "è110/urtldmni_gspc/n_srcitxdmgp ò90/rxtlnmcp_dsf/_rmnglpsbx ç45/narile/a_oóòu ú42/_pgmnrtdscb/bs_lnmtrp "
        "ï13/uaeoi/tsndclbm_a ü10/gqa/eèíil á3/sn_zmltri/nl_srzñce ñ2/aiueá/oaei"
    ),
    "Irish": (
        "á312/tehlsrnm_cdg/i_nlrtsbd í259/anrlhd_stmfu/o_ntlcrs ú157/ir_hdltsnc/_islncdbrp é155/rhl_fdnptmcs/ia_ "
        "ó118/rhcnl_mgtpds/i_rdgsnmtf"
    ),
    "Polish": (
        "ł212/ayisogzwdkóp_/ao_yeuóąnk ę189/izjbtdrnklgwc/_dcktpśższ ż143/_oaueióąkęy/e_ynaodksl "
        "ą129/jiznsklłdwtrc/_cdtzżgćł ó112/trmkpwsgłcnid/wrbłjldżcźgt ś105/oe_iyaęju/c_lćwnmr ć75/aśiyeąęo/_ "
        "ń23/aeoiy/s_c ź10/deóa_yoę/n_dlrćmcwb"
    ),
    "Czech": (
        "í215/nřjšvtcmdlsčž/_mctkslhnvdzr á166/nrvmlkzdthjpř/_nlmtvdsczrkš ě127/nmvtdbp/_ltjknscdžrmh "
        "ž88/_uoaeyůiěáírk/e_iíndáukos ř81/pt_oeáaěbdízv/eíiáa_ é75/nkvltrmdh/_hmnrt č68/_eoaiuníráúvk/eniaík_tálo "
        "š63/v_eauiáljíoyt/íeti_klanpť ý61/vnkrbtldmh/_cmtvrsšdzkbh ů34/mrdvpktnlczhs/_žsmljvzbrd ú9/_ze/sčptřdzrn "
        "ň4/eoalžiívp/_uoskatůá ď3/euěojaž_i/_taám ť3/šayousěír/_aoáutk ó2/gzkmi/nldzr"
    ),
    "Slovak": (
        "á183/nrvmtzlkdhpi/_vmcltrsdnzkš ž103/_uaoeôáivrkú/ei_dníakuso č100/_oaeiúärnuá/aioneí_lkšu "
        "ý97/nvkrtldh/_cmsvrbškz í97/rntščdlsvžzpj/_mcskvntrpzld š86/_veaáiyljčpou/ietíak_lpnošť é75/nkrvtlhd/_hmrnt "
        "ú73/sj_ntkdrlcv/_čctpsrdťzžkl ť68/asiyeú_äšu/_ao ľ42/e_odhaá/akum_onsúvb ô23/mpdkvrs/žsrlvzbjcd "
        "ď18/e_vuaoát/_aožm ň14/ed_moažŕpyktl/_aou ó11/rtligzkfmnep/nprdgbmlz ä9/vmp/čtť_zs ĺ1/dhptk/žbňpn "
        "ŕ1/hmkvs/ňtmnd"
    ),
    "Hungarian": (
        "é320/_tkmzsnvlrgdf/sgrnltpkvzb_m á284/mtlzvr_jshnkb/rlnstgbmkzj_d ö96/ktz_jnlrdfysg/znrtsvlbkmdg "
        "ó81/tjlrzi_bdsgmk/_ltbrsdknpgvz ő75/ltsdz_rnfbvy/_lstkrbdzievn ü49/rkz_tlyspfjvg/lnkgtzsr "
        "í49/_zkslhtmgdcpv/tgrvnmzjl ú30/_mtsrjzihygln/jgl_trsznk ű16/mrtynvzbgsh/_nvkslezrjbt"
    ),
    "Slovene": "č464/_oeiašubn/eian_julkr š329/_iajoeukr/ektičan_olp ž206/_eourail/eianbj_ku",
    "Croatian": (
        "š329/_iaoeurp/te_aiknlću č252/i_auoer/iekanul_j ž193/_oaureid/eianubdj ć160/e_iuoašp/ei_aun đ65/eaoru_in/euaio"
    ),
    "Romanian": (
        "ă422/cstrnplmţzvgf/_rtsţmcul ş178/_eaiuo/itae_ocu î173/_/nmil ţ148/aniecă_uorl/iaăeu â78/cmtprvgflsn/ntrmliş "
        "ã1/sctnv/_rc"
    ),
    "Albanian": "ë967/tpnrhsjmkdlg/_srnmtvz ç33/_yioaeuh/eiau_fdk",
    "Turkish": (
        "ı404/nrlsdtkymğşçz/_nlrkmşzyğs ü173/gtd_lykmnrbsç/nr_zkmlyşsçtc ş145/ai_ıeuüro/_eıiatlmkuü "
        "ç114/_iaerüunkl/ioeı_alümt ğ88/eaiıuoöü/iıurleaüm ö74/_gbsdkyt/nrzylğstkpd â2/klh_g/l_nyr "
        "İ24/_dzlsbmrnktg/şnszml_kçrft"
    ),
    "Lithuanian": (
        "ė210/ndlrmbktvspg/s_jltmrdgnkv ų176/itjsmnkrgldvb/_j š163/i_aekrou/i_ktaveoyčslu "
        "ž121/_aduerėmoį/imae_ounydktv ą102/tmkjnsirlgdbv/_js į85/_ntrljšksd/_svrtmžkgd ū71/bjtmkris_lgc/rstnkdplšzm "
        "č48/ai_enšsyurūoė/ie_ ę24/ntvlkbrjmsdgp/_s"
    ),
    "Latvian": (
        "ā385/tknjrmlpdvbsg/_ksrdjtmlcpvn ī181/rtlzdncšsmv_b/bg_tdvsjmnkrc ē164/pvmldrtzsnbcņ/jtrl_csmkdļnš "
        "š93/_eoakrņuēāiī/ai_ouāīķes ū56/bjmtlrļgs_np/strdkzpv_lšn ņ43/iaez_oīāu/auišeēāo ļ34/a_keēiugītā/auo_iāūše "
        "ž17/aed_iūuāomēīr/aiāuoeē_īģsr ķ11/š_riaēeļņuī/ieīēua ģ9/_ēeouraiž/ieēīau č7/_anoeāi/ueaiāūop"
    ),
    "Estonian": (
        "ä402/vmjäktpnl_s/rliäshetnb ü264/_stüklrnp/hmlüskpnrb õ240/vlst_kpamnr/itnprlhues ö59/ötpkrs/ötd_rijknl "
        "š22/t_aui/iaeouvkt ž11/denl_/iae_oupk"
    ),
    "Russian": (
        "а89/рвнктзд/_нтлрвз о89/нпрк_тв/в_рмлдс н79/еа_ноиь/оиаеняы е73/рнмтлпв/н_рткмл и68/нтрвлк_/_смтйнк "
        "т57/саие_он/иаоьер_ р55/епо_таи/аеоиуі_ в47/_оауиіе/аиое_ін с46/_иоеаут/тякоиьп к39/_еосиаь/аоиул_т "
        "л36/аоекси_/ьоеиаія п34/_осауеи/ореаиуі м32/ои_еазу/е_аоиіу д30/_оіеану/аоеині_ у29/_ркнтпс/_встрмк "
        "і28/внлмрцп/_двнслк з20/_аоиеьі/аномвду я20/нсила_р/_тмдкне ь17/тлснц/_нксзот б15/о_аимез/алоуреі "
        "й14/иаыоеіу/_лстндо г13/о_аенир/оару_еи ч11/ао_июеу/еианік_ ы10/нвмртбс/_йехвмт ж8/оедару_/еинадул "
        "х7/иыа_рсв/_оіаире ц7/а_икеон/іиеаья_ ю7/луаоині/_чтщвєю ш6/_ораеиі/иеанукт ф5/_инауео/аоіиуре"
    ),
    "Greek": (
        "α92/_τνμρκι/_ντριπσ ο77/τπρνλκμ/υ_ςύνιπ ε74/_τμσλπδ/ιί_νρτπ τ65/σ_αενκη/οαεηιήρ ι63/ερδταοπ/κ_σαομν "
        "ν56/αεέωουώ/_αοτεηι ρ52/αεπογτυ/οιαεγάί σ51/_ιαηοεί/τηευμια μ43/_οησαιυ/αεέοπιη π40/_αεουμύ/οραιελό "
        "κ39/ι_αεγηο/αοόετάρ η38/στνμλρθ/_ςσμτκν λ29/αολ_επά/οεαλιηή υ29/οσ_ετδα/_νπρσμτ ς29/ηοαήεέό/_ "
        "ί24/εροσταλ/α_ονστζ γ22/_οραεέυ/ρικοήαε δ21/_αινοεί/ιεουηία έ20/μ_ρκτλθ/νςτγσλχ ά19/ρκτλινμ/_λνστρκ "
        "ή19/τλκγμφ_/_ςσμκρτ ό18/κτρ_μπν/_νμςτρσ χ14/_ρέαιοσ/εροαιωώ ω13/ντρσπεί/νσρτμ_ς θ12/α_οιηυά/εηομέυα "
        "ύ10/οεστδλθ/_νρπμσθ φ9/α_σμεοά/αοήάιέω β6/_μαοισρ/οάαρλει ώ6/ριλκχτν/νσρμτ_θ ξ4/εέα_άιυ/εηαιοτυ"
    ),
}
