"""`fenced setup`: from a list of hosts to an installation in which every file fits the others.

    run        the whole of it: read what there is, plan, write; or only renew what ends soon
      advice   what an operator does next         asked    what an operator asks for, and the report
      bundles  one archive for each machine that needs files from here
      broker   Mosquitto: configuration, access list, unit           daemon  fenced.toml, inventory, units
      issued   the private authority, and certificates that are missing or end soon
      accounts the broker's accounts and their password file
      fleet    who takes part: the inventory, and what the options add
        rights owners and modes of all that, and of the secrets that persons made
        files  write what is missing, leave what a person changed, remember what was written

It never changes a file that a person wrote or edited: it shows the difference.
"""
