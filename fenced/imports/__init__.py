"""`fenced import`: turn what another program knows about fencing into an inventory file.

    pacemaker, cib, eligibility  a CIB           ovirt      hosts of the engine's REST API
    medik8s                      Kubernetes YAML csv_table  a table with a header row
      agents   a fence agent's parameters to a device    native  an agent's device to a native driver
        shape    what each source yields: hosts, devices, losses
    writing    the inventory as TOML text, and the files of its secrets
    checking   the result under the rules of `fenced check-config`

Every importer reports what it can't carry over, with its place. Nothing is dropped silently.
"""
