"""Letters beyond ASCII by language: how frequent, and between which letters."""

OFTEN_CHINESE = (
    "的一是不了在人有我他这个们中来上大为和国地到以说时要就出会可也你对生能而子那得于着下自之年过发后作里用道行所然家事成方多经么去法学如"
    "都同现当没动面起看定天分还进好小部其些主样心她本前开但因只从想很太买喜欢手机差再般吃真给让电影服务非常店快东西问题质量感觉喝点做"
)
# Marks, where they stand (between Letters, Digits and _ other characters), and how frequent each of them is there.
MARKS = (
    ("’", "L_", 0.01),
    ("’", "_L D_ _D DL", 0.02),
    ("‘", "_L _D", 0.02),
    ("‚", "_L", 0.0002),
    ("’‘", "__", 0.005),
    ("“”„", "_L L_ _D D_ __", 0.03),
    ("«»", "_L L_ _D D_ __", 0.02),
    ("—–", "__", 0.02),
    ("—", "LL L_ _L", 0.001),
    ("–", "L_ _L", 0.001),
    ("–", "LL", 0.0001),
    ("–", "DD D_ _D", 0.01),
    ("…", "L_ __ D_", 0.01),
    ("…", "LL _L", 0.002),
    ("•", "__ _L", 0.003),
    ("·", "__ LL _L", 0.003),
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
# Counted over the translated messages of the programs of Debian 12; English, Afrikaans and the French è are estimates.
LETTERS = {
    "Afrikaans": "ë430/eiaonr/_rlen ê400/swrnlh/_end ô80/mnr/re ï40/eas/nts û20/r/e é20/_nl/_",
    "English": (
        "é500/fhtnlrsdi/_seand ï140/a/v ñ80/eian/oa à60/j_/_ ç50/a/a è50/r/m ü50/_/b ê40/r/p û40/r/l ö40/ro/tm "
        "ô20/r/l â20/hp/tc"
    ),
    "French": (
        "é797/rd_tsnpmlvgi/_ecrstpfmldg è90/rtilmhcdgsfv/srtmqlgndc ê36/_trnumpc/tmc à27/_jl/_ ô17/rcpht/tln_ "
        "î12/ao_hdtr/ntl_c ç7/nerai/auo â6/tl_rhnyaibkw/cglnt_mskr œ8/cb_smvn/u ï4/aoue/_tqnwaregzmk"
    ),
    "German": (
        "ü464/fr_lgtnskwmh/bsrlchgtfdnp ä279/rhltw_mnsfeg/nrthlgucsdßf ö162/lrmkhn_wzet/sßgrnftchp "
        "ß69/öeuoäia/e_itlbks é4/rmhbtunykcvg/_tnlbmxsdrg"
    ),
    "Spanish": (
        "ó452/ircltsmbn_z/n_dlr á219/rtvm_pnlicu/_lnsmrgctxfq í145/lrsc_dvtfuma/namts_docfgx "
        "ú77/n_bmgplyath/mnslb_fatcr é60/mutni_dhlvrc/stnr_lxpcba ñ43/ae/aoe"
    ),
    "Portuguese": (
        "ã249/çnsrt/o_ ç228/aienpcur/ãõao á143/rvtmi_spnudj/r_lvgxtsfqcu í111/san_mtulvrcd/vdncmtgsfrl "
        "é58/_tmrnbvclsg/_mrtslgdnc ó56/tcrmbpsnld/rlsd_ptngx õ50/çsrtp/e ú39/n_pemihrt/mlbnsdtc "
        "ê39/rdcltungmvi/ns_mi â14/tnrl_mzcgdfs/nm ô5/pnmtldrv/ndrms à4/_/_sq º3/_nk/_lsf"
    ),
    "Italian": (
        "à347/tri/_ è299/_/_ ò89/uirì/_ù ù83/intòr/_ é82/hnstrbulmki/_nstly ì18/sdèlnmpub/_òrn "
        "ó8/cdreiylnł/n_road ú5/prgybk/_anz ü3/ngm/ipna"
    ),
    "Dutch": (
        "ë371/ieoa/_rnilxt ï163/eaou/nmset_rda é159/_évrbhlemkt/né_sgptmu ó41/vóitbulnkrcł/rónsopd "
        "ö27/j_rkgtlsv/rlnetbpdsv ä20/lvgj/nsvmr ı9/tbğqz_ş/slrz_m"
    ),
    "Danish": (
        "æ420/vrlsmh_jgknt/rntlsvkgfd ø349/tfnlskrh_mdg/rgjbnsdltvme å181/pmrhl_sngtfb/_rndslbegvkm "
        "é42/trlv_kmidcsg/rnt_"
    ),
    "Norwegian": (
        "ø548/ftnjsrh_lkmp/rkyltvnsmdgp å378/_prmlnghvtsf/_rdtlnspkve æ45/vnmldfebs/r â11/_scjnardue/_ "
        "é10/_tmldrèpkh/nri_æl"
    ),
    "Swedish": "ä502/vlr_tskfjnmh/nrlgtmskvd ö284/f_stlkhrmgbd/rkvdsnlmpjg å208/rplmh_gtvnsf/tn_lsgrdkev",
    "Finnish": "ä889/täkmsvjnplir/_äynrlistmvh ö105/tylkniör/t_nsymkiljöh š3/ta_ikuš/eiauktšo_",
    "Icelandic": (
        "ð259/iarýueæóíög/_auivsrlfgmk í189/rst_lnvbdkgp/san_klðrtbmg á134/rm_tjlhgdþnp/l_ksrtnagfmh "
        "ó103/_jtlkrgdsmpb/_snlðmkgvtrp ú71/r_nbtpsjlkþg/tnras_mldigv æ69/vthrlfsnbdg_/rðgnktsmlji_ "
        "ö60/tjmgrld_fvsh/lgnðrfpksm ý48/lsnþkbt_dp/ðnsrtj_lpm þ41/_lóetuágm/eýjaúáívy_rö "
        "é16/rshtvláþn/rtk_lfsnýu"
    ),
    "Catalan": (
        "ó267/istr/_ns à203/rtvm_iplncdb/_lcnrtgmxfsu í105/lm_tvsrdpfcu/n_smtcxgfdle é104/_mtcrbvu/s_n "
        "è103/rmntdul_cüpg/nsrt_dxvgc ò64/mrbctnxplsd_/_rnldspcgm ç63/anperl/a_oò ú52/n_pmjbrs/sml_bnt "
        "ï24/ueai/tdunsb ü14/gqi/eèl"
    ),
    "Irish": (
        "á312/tehlsrnm_cdg/i_nlrtsbd í259/anrlhd_stmfu/o_ntlcrs ú157/ir_hdltsnc/_islncdbrp é155/rhl_fdnptmcs/ia_ "
        "ó118/rhcnl_mgtpds/i_rdgsnmtf"
    ),
    "Polish": (
        "ł210/adsobkwgey_ó/aoąu_yęónek ą154/jłinzżwtsldk/c_dztćgp ę121/itzłjrbwnlkp/_dcptzkśćg "
        "ż119/uoea_dóiyą/yen_aąkldos ó116/rtkpłgswmdib/wrłdżcbtljź ś115/oeyj_aęi/clćwrn_ ć100/aśyiąeęź/_ "
        "ń47/aoeiuy/s_c ź15/d_óąeau/_rnwćlao"
    ),
    "Czech": (
        "í243/ncřjčltpmzšv/_csmtknhlčdr á198/vnrkldzmtsřž/n_vzltdmsrřc ř94/p_táoěavíedi/eíiá_ak "
        "é89/nkvmtldrh/_hmnlsd č78/a_oeínuirúy/eín_iatkáuoů ý76/nvkbrtlmh/_cmstršpvb ě66/nmvtdbp/n_ltrřzdjžhc "
        "ž60/uoa_yerůiěíd/ieí_naákdbot š47/_uievaoírlná/teíik_lopna ů28/rtkmdplčvzsc/_vsžmlbz ú8/_es/lčsrpdvcktn "
        "ň5/aelvuožtjid/u_oktad ó4/kmzvrg/dnt"
    ),
    "Slovak": (
        "á198/nrkmzlvtdsuh/_vctzlrnsdmj č113/a_oúnreiäudy/iaeín_okušt í111/nčrptžlzšcsi/_svktmrncpšl "
        "ý106/nvktrhl/_cmsbršpl é99/nvktlrmh/_hmrn ť81/aiseyúäš/_ao ú79/sjn_ľtkrvdpb/_bcčrtdťlšsp "
        "ž67/ou_eôayĺridá/ineíka_dubs š54/_nvaoueičúyí/teiíapk_ťonl ľ47/eohk_adu/ankobú_usv "
        "ó11/kltgrnmfizde/dngrpmt ň10/eavld_oĺjžtá/_ouat ô8/mdpvkrnt/žvsltzrbšp ä8/vmp/tčťz ĺ4/dtphl/žpňbľ "
        "ď4/e_aužtoivd/_aoutže"
    ),
    "Hungarian": (
        "á336/tzlvmsrnf_ed/slrtnjmgbvkc é244/tklsz_vmnrgd/srngpltkvmzh í100/sltzckndp_hr/trvmpnlzc "
        "ó99/tlizmrkbdgsf/_kdltsbjrniv ö74/kt_zlrgmnhsj/rzvlnstbkmgd ő69/ztldrsnvbgy/_lkstrzbvdnf "
        "ü35/rfl_kznvstyd/lgkrzt_ns ú23/_stbzhiymnrg/j_tlszgrc ű18/tymrzfgvsnj/k_vzsrnjtelm"
    ),
    "Slovene": "č538/ošiae_unl/iean_rujkl š315/i_eojraunzm/čitkeanl ž146/oea_uidrl/niealju",
    "Croatian": (
        "č359/aiuo_ern/iekanu_l š255/ei_raoupn/tkiean_ć ž152/rauoed_i/aienud_ ć143/uea_oišp/eiaun_ "
        "đ77/eaoir_/euai ȏ5/tkm/dg ô5/km/d"
    ),
    "Romanian": (
        "ă539/tzcrlnsmpgdv/_rtsţu ţ208/acnipeărub_l/iăea ş133/ie_aăroun/itaeu_ î80/_e/nm â39/ctrmfvpzshdl/nrtmli"
    ),
    "Albanian": "ë967/tpnrhsjmkdlg/_srnmtvz ç33/_yioaeuh/eiau_fdk",
    "Turkish": (
        "ı451/nrsdltmyğckç/_nrlşkmyszğc ş146/iıaeu_roüİ/lt_iıameukv ü123/rtgdsln_ymkb/nrm_zklsytşğ "
        "ç106/_eiaruütkİ/eiaı_olömüub ğ88/eaiıouüö/iıeluram_ü ö61/_gdbyçsk/nrzlsgkğy "
        "İ24/_dzlsbmrnktg/şnszml_kçrft"
    ),
    "Lithuanian": (
        "š222/ia_ekruo/iaktvyom_res ė197/nltdmrbkvspš/_sjtlmržnk ų172/itnmljkrdbsš/_sj "
        "ž104/d_uaeėor/iyeadorv_kut ą92/mtsjkilngrdš/_rjsl į91/_nltjredš/_rvdjktspg č59/eina_šuors/iea "
        "ū39/btrigjcklpd/rtskzndlvš ę22/ntlbmrsdjv/_s"
    ),
    "Latvian": (
        "ā340/trnkmpljvdbg/_rstdjmlkcnš ē212/vltmrszdpnbš/tjrl_gmšsncd ī171/tdzrlnsšb_pž/tbmgdvjks_cš "
        "š120/koe_aēāgīriu/auiķ_oīāērsū ņ38/iaetzāoļd_/uaeoāšiēķ ļ38/kaetē_uiāo/aūuoišā_ņ "
        "ū37/bļtlrjgšsm/tdrsknlš_mv ķ16/šrio_ņeē/iēeauī ž15/eda_ināul/īaouiāe_ģs ģ8/ieē_žoļg/iēeauh "
        "č4/_aniīuepcrb/auieīodvū"
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
