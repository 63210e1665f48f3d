"""Programs for retraining without a person: new rows in, a judged model out."""
