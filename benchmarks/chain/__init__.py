"""How fast the chain is and what it holds, each as a ratio to something named and measured in the same run.

`python -m benchmarks.chain --help` lists the measurements; benchmarks/README.md has the results.
"""
