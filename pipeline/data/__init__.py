"""Tables of labelled rows: data sets, users' files, columns, rules, selection, splits."""
