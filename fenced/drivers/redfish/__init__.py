"""Redfish (DSP0266): one system of a BMC, its PowerState and its Reset action.

    device ─> target ─> driver ─> systems      finds the resource of the host
              (tls)       ├────── power        reads PowerState, checks that the BMC is ready
                          ├────── tasks        follows a command that became a task
                          └─> exchange ─> sessions ─> transport ─> HTTPS   ─> Power, or DeviceError
                              (deadline,  (login)     (one request, one answer)
                               retries)

`answers` parses what comes back; `vendors` holds the differences between BMCs as data with sources.
"""
