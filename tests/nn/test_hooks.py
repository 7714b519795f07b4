from jitorch.nn.hooks import add_hook


def test_order_and_removal():
    hooks = {}
    second = add_hook(hooks, "b", prepend=False)
    first = add_hook(hooks, "a", prepend=True)
    with add_hook(hooks, "c", prepend=False) as third:
        assert list(hooks.values()) == ["a", "b", "c"]
        assert len({first.id, second.id, third.id}) == 3
    assert list(hooks.values()) == ["a", "b"]
    first.remove()
    first.remove()
    assert list(hooks.values()) == ["b"]
