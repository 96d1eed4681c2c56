"""Which candidate is next: settings, proposals, promotion, cluster, confirmation, records."""
