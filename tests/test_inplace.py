"""Changes in place: what torch refuses is refused before anything changed, what it allows gives its gradients."""

import numpy as np
import pytest
import torch

import minigrad as mg

BOTH = pytest.mark.parametrize("m", [mg, torch], ids=["minigrad", "torch"])


def leaf(m, values=(1.0, 2.0, 3.0)):
    return m.tensor(list(values), requires_grad=True)


@BOTH
@pytest.mark.parametrize(
    "change",
    [
        lambda m, x: x.add_(1),
        lambda m, x: x.__iadd__(1),
        lambda m, x: x.__setitem__(0, 5.0),
        lambda m, x: x[:2].mul_(10),
        lambda m, x: x.view(3, 1).zero_(),
        lambda m, x: x.fill_(2),
        lambda m, x: x.exp_(),
    ],
)
def test_a_leaf_that_requires_grad_is_not_changed(m, change):
    x = leaf(m)
    with pytest.raises(RuntimeError, match="leaf|view"):
        change(m, x)
    assert x.tolist() == [1.0, 2.0, 3.0]
    (x * x).sum().backward()
    assert x.grad.tolist() == [2.0, 4.0, 6.0]


@BOTH
def test_a_leaf_may_be_updated_under_no_grad(m):
    x = leaf(m)
    with m.no_grad():
        x -= 0.5
        x[0] = 7.0
        x.mul_(2)
    assert x.tolist() == [14.0, 3.0, 5.0] and x.requires_grad and x.is_leaf


@BOTH
def test_data_may_be_updated_without_the_graph_noticing(m):
    x = leaf(m)
    y = x * 1
    x.data += -0.5 * m.ones(3)
    assert x.tolist() == [0.5, 1.5, 2.5]
    y.sum().backward()
    assert x.grad.tolist() == [1.0, 1.0, 1.0]


@BOTH
def test_a_change_of_a_view_is_a_change_of_its_base(m):
    x = leaf(m)
    y = x * 1
    v = y[:2]
    v *= 10
    assert y.tolist() == [10.0, 20.0, 3.0]
    y.sum().backward()
    assert x.grad.tolist() == [10.0, 10.0, 1.0]


@BOTH
def test_a_change_of_the_base_reaches_its_views(m):
    x = leaf(m)
    y = x * 1
    v = y[:2]
    y *= 10
    assert v.tolist() == [10.0, 20.0]
    v.sum().backward()
    assert x.grad.tolist() == [10.0, 10.0, 0.0]


@BOTH
def test_views_of_views_share_changes_and_gradients(m):
    x = m.arange(6.0).requires_grad_()
    y = x * 2
    rows = y.view(2, 3)
    column = rows.t()[1]
    other = y[1:5]
    column.mul_(m.tensor([3.0, 5.0]))
    assert y.tolist() == [0.0, 6.0, 4.0, 6.0, 40.0, 10.0]
    (other * other).sum().backward()
    ref = torch.arange(6.0).requires_grad_()
    z = ref * torch.tensor([2.0, 6, 2, 2, 10, 2])
    (z[1:5] ** 2).sum().backward()
    assert x.grad.tolist() == ref.grad.tolist()


@BOTH
def test_a_number_in_a_vector_is_a_view_too(m):
    x = leaf(m)
    y = x * 1
    v = y[1]
    v *= 10
    assert y.tolist() == [1.0, 20.0, 3.0]
    (y * y).sum().backward()
    assert x.grad.tolist() == [2.0, 400.0, 6.0]


@BOTH
def test_a_value_that_a_rule_kept_must_not_change(m):
    x = leaf(m)
    y = x.exp()
    y += 1
    with pytest.raises(RuntimeError, match=r"in-?\s?place"):
        y.sum().backward()


@BOTH
def test_a_value_that_no_rule_kept_may_change(m):
    x = leaf(m)
    y = x * 1
    z = y + 1
    y += 1
    z.sum().backward()
    assert x.grad.tolist() == [1.0, 1.0, 1.0]


@BOTH
def test_an_input_that_a_rule_kept_must_not_change(m):
    x, w = leaf(m), leaf(m, (4.0, 5.0, 6.0))
    y = x * 1
    z = y * w
    y.zero_()
    with pytest.raises(RuntimeError, match=r"in-?\s?place"):
        z.sum().backward()


@BOTH
def test_a_parameter_updated_between_forward_and_backward_is_noticed(m):
    x, w = leaf(m), leaf(m, (4.0, 5.0, 6.0))
    z = x * w
    with m.no_grad():
        w -= 1
    with pytest.raises(RuntimeError, match=r"in-?\s?place"):
        z.sum().backward()


@BOTH
def test_a_change_through_detach_is_noticed(m):
    x = leaf(m)
    y = x.exp()
    y.detach().zero_()
    with pytest.raises(RuntimeError, match=r"in-?\s?place"):
        y.sum().backward()


@BOTH
def test_a_view_changed_is_noticed_by_who_kept_the_base(m):
    x = leaf(m)
    y = x.exp()
    y[:1].add_(1)
    with pytest.raises(RuntimeError, match=r"in-?\s?place"):
        y.sum().backward()


def test_the_message_names_op_shape_and_change():
    x = leaf(mg)
    y = x.exp()
    y += 1
    with pytest.raises(RuntimeError, match=r"ExpBackward0.*shape \(3,\).*add_ on a Tensor of shape \(3,\)"):
        y.sum().backward()


@BOTH
def test_the_op_in_place_may_need_its_own_input(m):
    x, w = leaf(m), leaf(m, (4.0, 5.0, 6.0))
    y = x * 1
    y.mul_(w)
    y.pow_(2)
    y.sum().backward()
    assert x.grad.tolist() == [2 * 1 * 16.0, 2 * 2 * 25.0, 2 * 3 * 36.0]
    assert w.grad.tolist() == [2 * 4 * 1.0, 2 * 5 * 4.0, 2 * 6 * 9.0]


@BOTH
def test_setitem_gives_the_value_its_gradient_and_takes_it_from_what_was_there(m):
    x, v = leaf(m), m.tensor([7.0, 8.0], requires_grad=True)
    y = x * 1
    y[1:] = v
    (y * m.tensor([1.0, 10.0, 100.0])).sum().backward()
    assert x.grad.tolist() == [1.0, 0.0, 0.0] and v.grad.tolist() == [10.0, 100.0]


@BOTH
def test_setitem_with_repeats_the_last_write_stands(m):
    v = m.tensor([7.0, 8.0], requires_grad=True)
    y = m.zeros(3)
    y[[0, 0]] = v
    assert y.tolist() == [8.0, 0.0, 0.0]
    y.sum().backward()
    assert v.grad.tolist() == [1.0, 1.0]


@BOTH
def test_setitem_augmented(m):
    """The lecture's dlogits[range(n), Yb] -= 1."""
    x = m.zeros((3, 4)).requires_grad_()
    y = x.exp()
    z = y * 1
    z[range(3), m.tensor([1, 0, 3])] -= 1
    assert z.sum().item() == 9
    (z * z).sum().backward()
    want = m.full((3, 4), 2.0)
    want[[0, 1, 2], [1, 0, 3]] = 0.0
    assert x.grad.tolist() == want.tolist()


@BOTH
def test_setitem_on_a_row_of_a_graph_value(m):
    x, v = m.ones((2, 3)).requires_grad_(), m.tensor(5.0, requires_grad=True)
    y = x * 2
    y[0, [0, 2]] = v
    y[1][2] = v * 3
    (y * y).sum().backward()
    assert x.grad.tolist() == [[0.0, 8.0, 0.0], [8.0, 8.0, 0.0]]
    assert v.grad.item() == 2 * 5 + 2 * 5 + 2 * 15 * 3


@BOTH
@pytest.mark.parametrize(
    "change",
    [
        lambda m, y: y.add_(m.ones((2, 3))),
        lambda m, y: y.__setitem__(slice(0, 2), m.ones(4)),
        lambda m, y: m.ones(1).expand(3).add_(1),
        lambda m, y: m.tensor([1, 2]).add_(0.5),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_changed(m, change):
    x = leaf(m)
    y = x * 1
    with pytest.raises(RuntimeError):
        change(m, y)
    assert y.tolist() == [1.0, 2.0, 3.0]
    y.sum().backward()
    assert x.grad.tolist() == [1.0, 1.0, 1.0]


@BOTH
def test_pieces_of_a_split_are_not_changed_in_place(m):
    y = leaf(m) * 1
    piece, _ = y.split([2, 1])
    with pytest.raises(RuntimeError):
        piece.mul_(2)


@BOTH
def test_numbers_change_in_place_as_arrays_do(m):
    x = m.tensor(3.0, requires_grad=True)
    y = x * 2
    y += 1
    y *= 3
    y.backward()
    assert y.item() == 21 and x.grad.item() == 6


@BOTH
def test_an_op_in_place_on_both_sides_is_refused_in_backward(m):
    x = m.tensor(3.0, requires_grad=True)
    y = x * 2
    y *= y
    with pytest.raises(RuntimeError, match=r"in-?\s?place"):
        y.backward()


@BOTH
def test_retain_grad_stays_with_the_changed_value(m):
    x = leaf(m)
    y = x * 2
    y.retain_grad()
    y *= 3
    (y * 1).sum().backward()
    assert y.grad.tolist() == [1.0, 1.0, 1.0] and x.grad.tolist() == [6.0, 6.0, 6.0]


@BOTH
def test_second_derivative_through_a_changed_view(m):
    x = leaf(m)
    y = x * x
    v = y[1:]
    v *= x[:2]
    (g,) = m.autograd.grad((y * y).sum(), x, create_graph=True)
    (h,) = m.autograd.grad(g.sum(), x)
    # y = [x0^2, x1^2 x0, x2^2 x1]; f = x0^4 + x1^4 x0^2 + x2^4 x1^2, summed second derivatives
    x0, x1, x2 = 1.0, 2.0, 3.0
    want = [
        12 * x0**2 + 2 * x1**4 + 8 * x1**3 * x0,
        12 * x1**2 * x0**2 + 8 * x1**3 * x0 + 2 * x2**4 + 8 * x2**3 * x1,
        12 * x2**2 * x1**2 + 8 * x2**3 * x1,
    ]
    assert h.tolist() == want


def test_copy_fill_zero():
    x = mg.zeros((2, 3))
    assert x.fill_(2).tolist() == [[2.0] * 3] * 2
    assert x.copy_(mg.tensor([1, 2, 3])).tolist() == [[1.0, 2.0, 3.0]] * 2
    assert x.zero_().sum().item() == 0
    w = mg.tensor([1.0, 2.0], requires_grad=True)
    y = mg.zeros(2)
    y.copy_(w)
    (y * 3).sum().backward()
    assert w.grad.tolist() == [3.0, 3.0]


def test_memory_is_shared_where_torch_shares_it():
    a = np.zeros(3, np.float32)
    t = mg.from_numpy(a)
    t += 1
    assert a.tolist() == [1.0, 1.0, 1.0]
    t.numpy()[0] = 5
    assert t[0].item() == 5
    d = t.detach()
    d[1] = 6
    assert t[1].item() == 6
