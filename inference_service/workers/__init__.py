"""Who makes the units: processes on this machine, or Ray's actors on a cluster."""
