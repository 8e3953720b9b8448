"""A deep MLP from layers of our own, and what its initial values do before the first step.

Linear, BatchNorm1d and Tanh are written out here as classes with torch's interface. `study` sends one batch through
the network for each way to draw the weights. Sources: Bengio et al. 2003; makemore, part 3 of the lectures.
"""

from common import Windows, options, run, whole

import minigrad as torch
import minigrad.nn.functional as F

BLOCK, EMBD = 3, 10  # characters of context, numbers to a character
GAINS = {"wide": None, "unit": 1.0, "kaiming": 5 / 3}  # of a hidden layer's weights, over sqrt(fan in); None: N(0, 1)


class Linear(torch.nn.Module):
    """y = x @ weight + bias, the weights drawn from N(0, 1) and scaled by `scale`."""

    def __init__(self, fan_in, fan_out, scale, bias=True):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.randn(fan_in, fan_out) * scale)
        self.bias = torch.nn.Parameter(torch.zeros(fan_out)) if bias else None

    def forward(self, x):
        y = x @ self.weight
        return y if self.bias is None else y + self.bias


class BatchNorm1d(torch.nn.Module):
    """Each feature to mean 0 and variance 1 over the batch, then scaled and shifted; running statistics in eval()."""

    def __init__(self, features, eps=1e-5, momentum=0.1):
        super().__init__()
        self.eps, self.momentum = eps, momentum
        self.gain, self.shift = (torch.nn.Parameter(make(features)) for make in (torch.ones, torch.zeros))
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("var", torch.ones(features))

    def forward(self, x):
        mean, var = self.mean, self.var
        if self.training:
            over = tuple(range(x.ndim - 1))  # all but the features: (n, features) or (n, places, features)
            if x.numel() == x.shape[-1]:
                raise ValueError("a batch of 1 row has no variance: batch norm needs 2 at least")
            mean, var = x.mean(over), x.var(over)
            with torch.no_grad():
                self.mean += self.momentum * (mean - self.mean)
                self.var += self.momentum * (var - self.var)
        return self.gain * (x - mean) / torch.sqrt(var + self.eps) + self.shift


class Tanh(torch.nn.Module):
    """y = tanh(x); keeps its last result, so that one can look at it."""

    def forward(self, x):
        self.out = torch.tanh(x)
        return self.out


class MLP(torch.nn.Module):
    """Characters -> embeddings side by side -> `depth` hidden layers of `hidden` -> logits.

    init: one of GAINS for the weights; "batchnorm" is "kaiming" with a BatchNorm1d after each Linear. The last layer is
    scaled down, so that the first logits are nearly equal and the first loss is log(27), but in "wide".
    """

    def __init__(self, vocab_size, hidden, depth, init):
        super().__init__()
        norm = init == "batchnorm"
        gain = GAINS["kaiming" if norm else init]
        self.embedding = torch.nn.Parameter(torch.randn(vocab_size, EMBD))
        layers, width = [], BLOCK * EMBD
        for _ in range(depth):
            layers.append(Linear(width, hidden, 1.0 if gain is None else gain / width**0.5, bias=not norm))
            layers += [BatchNorm1d(hidden)] if norm else []
            layers.append(Tanh())
            width = hidden
        layers.append(Linear(width, vocab_size, 1.0 if gain is None else 0.1 / width**0.5))
        self.layers = torch.nn.Sequential(*layers)

    def forward(self, X):
        emb = self.embedding[X]
        return self.layers(emb.view(len(X), -1))


def study(data, args):
    """For each init: its name, first loss, saturated share and deviation of the last tanh, gradient first by last."""
    X, Y = (part[:1000] for part in data.train)
    rows = []
    for init in (*GAINS, "batchnorm"):
        torch.manual_seed(args.seed)
        model = MLP(len(data.vocab), args.hidden, args.depth, init)
        loss = F.cross_entropy(model(X), Y)
        hidden = [layer.out for layer in model.layers if isinstance(layer, Tanh)]
        for out in hidden:
            out.retain_grad()
        loss.backward()
        last = hidden[-1].detach()
        saturated = (last.abs() > 0.97).float().mean().item()
        shrinks = (hidden[0].grad.std() / hidden[-1].grad.std()).item()
        rows.append((init, loss.item(), saturated, last.std().item(), shrinks))
    return rows


def main(argv=None):
    parser = options(__doc__, steps=5000, lr=0.1)
    parser.add_argument("--init", choices=[*GAINS, "batchnorm"], default="batchnorm", help="(%(default)s)")
    parser.add_argument("--hidden", type=whole, default=100, help="width of a hidden layer (%(default)s)")
    parser.add_argument("--depth", type=whole, default=4, help="hidden layers (%(default)s)")
    args = parser.parse_args(argv)
    data = Windows(args.names, BLOCK)

    print("init        loss     |tanh| > 0.97   tanh std   gradient std, first / last layer")
    for init, loss, saturated, std, shrinks in study(data, args):
        print(f"{init:10s} {loss:6.3f} {saturated:12.1%} {std:12.3f} {shrinks:12.3f}")

    torch.manual_seed(args.seed)
    model = MLP(len(data.vocab), args.hidden, args.depth, args.init)
    optimizer = torch.optim.SGD(model.parameters(), lr=args.lr)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=max(1, 3 * args.steps // 4), gamma=0.1)
    return run(data, model, optimizer, args, scheduler)


if __name__ == "__main__":
    main()
