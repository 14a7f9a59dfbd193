"""Pictures of the twin's worlds: what each of them looks like over time, in each mode, with the truth beside it.

Looks come through the protocol of any microscope; the truth is handed in. Nothing of it is needed to run the agent.
"""
