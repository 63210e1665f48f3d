"""Tables of labelled rows: data sets, users' files, increments, rules, selection and split."""
