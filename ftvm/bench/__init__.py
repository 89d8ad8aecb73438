"""How fast ftvm is beside what people would use instead, and what fault tolerance costs.

Rivals are commands; each runs the same guest images in turn, watched from
outside by one and the same stopwatch. Only `ftvm bench` imports this.
"""
