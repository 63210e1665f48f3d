"""Pages and pictures for people, made of what the stages wrote."""
