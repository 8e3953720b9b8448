"""A GRU: a recurrent network whose gates say how much of its state it keeps.

Sources: Cho et al. 2014; makemore's GRU. The network around the cell is the one in rnn.py.
"""

from rnn import train

import minigrad as torch


class GRUCell(torch.nn.Module):
    """h' = (1 - z) * h + z * c: x (n, width) and h (n, hidden) -> (n, hidden).

    The candidate c = tanh of x and r * h; the gates r (what of h the candidate sees) and z (how much of it is taken)
    are sigmoids of x and h, made by one layer.
    """

    def __init__(self, width, hidden):
        super().__init__()
        self.gates = torch.nn.Linear(width + hidden, 2 * hidden)
        self.candidate = torch.nn.Linear(width + hidden, hidden)

    def forward(self, x, h):
        r, z = torch.sigmoid(self.gates(torch.cat([x, h], dim=1))).chunk(2, dim=1)
        c = torch.tanh(self.candidate(torch.cat([x, r * h], dim=1)))
        return (1 - z) * h + z * c


def main(argv=None):
    return train(GRUCell, __doc__, argv, steps=3000, lr=3e-3)


if __name__ == "__main__":
    main()
