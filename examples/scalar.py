"""A neuron by hand: values, gradients and the picture of the graph between them."""

import minigrad as mg
import viz

x = mg.tensor(2.0, requires_grad=True)
w = mg.tensor(-3.0, requires_grad=True)
b = mg.tensor(6.8, requires_grad=True)

h = mg.tanh(x * w + b)
loss = (h - 1) ** 2
h.retain_grad()
loss.backward()

print(w.grad, h.grad_fn)
viz.render(loss, "graph.svg", names=locals())
