"""Many runs as one undertaking: what is asked for, from where, until it is answered."""
