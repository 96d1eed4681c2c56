"""Published claims about MoViNets: what each says, the run that tests it, and the verdict."""
