"""What runs the units: processes on this machine, or Ray actors on a cluster."""
