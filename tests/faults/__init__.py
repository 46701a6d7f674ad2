"""Faults on purpose: the command line as a process of its own, killed, starved and lied to.

`faults.running`             start it, end it, compare what it left
`faults.site.sitecustomize`  what Python loads into it and into its decoder processes, to break from inside
"""
