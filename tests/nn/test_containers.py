"""Sequential, ModuleList and ModuleDict: indexed, named, changed, and printed as torch prints them."""

from collections import OrderedDict

import torch

import minigrad as mg
from minigrad import nn


def test_sequential_is_indexed_sliced_named_and_changed():
    a, b, c = nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1)
    net = nn.Sequential(OrderedDict(first=a, act=b, last=c))
    assert [n for n, _ in net.named_parameters()] == ["first.weight", "first.bias", "last.weight", "last.bias"]
    assert net.first is a and net[0] is a and net[-1] is c and list(net) == [a, b, c] and len(net) == 3 and b in net
    assert list(net[:2].state_dict()) == ["first.weight", "first.bias"]
    x = mg.randn(4, 2)
    assert mg.equal(net(x), c(b(a(x)))) and mg.equal(net[:2](x), b(a(x)))
    net = nn.Sequential(a).append(b).extend([c])
    net[1] = nn.ReLU()
    assert repr(net[1]) == "ReLU()"
    del net[1]
    assert [n for n, _ in net.named_children()] == ["0", "1"]
    assert [type(m).__name__ for m in net.insert(1, nn.Sigmoid())] == ["Linear", "Sigmoid", "Linear"]


def test_module_list_and_dict_print_as_torchs():
    def made(lib):
        layers = [lib.Linear(2, 2), lib.Linear(2, 2), lib.Tanh(), lib.Sequential(lib.Tanh())]
        return [
            lib.ModuleList(layers), lib.ModuleList(),
            lib.ModuleDict({"a": lib.Tanh(), "b": lib.Linear(1, 2, bias=False)}), lib.BatchNorm1d(3, bias=False),
            lib.Dropout(0.2), lib.Embedding(3, 2, padding_idx=1), lib.BatchNorm1d(3, momentum=None, affine=False),
            lib.LayerNorm(3), lib.Softmax(dim=1), lib.CrossEntropyLoss(), lib.Flatten(), lib.Identity(),
            lib.Sequential(),
        ]  # fmt: skip

    for ours, theirs in zip(made(nn), made(torch.nn), strict=True):
        assert repr(ours) == repr(theirs)
        assert list(ours.state_dict()) == list(theirs.state_dict())


def test_module_dict():
    made = nn.ModuleDict({"a": nn.Tanh()})
    made["b"] = nn.Linear(1, 1)
    assert list(made) == list(made.keys()) == ["a", "b"] and len(made) == 2 and "a" in made
    del made["a"]
    assert [type(m).__name__ for _, m in made.items()] == ["Linear"] == [type(m).__name__ for m in made.values()]


def test_a_layer_of_no_inputs_is_its_bias():
    assert nn.Sequential(nn.Linear(0, 2))(mg.ones(3, 0)).tolist() == [[0, 0]] * 3
