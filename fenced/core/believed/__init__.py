"""Which devices are not believed: those that read OFF beside a living host (`trust`) or are shared (`sharing`)."""
