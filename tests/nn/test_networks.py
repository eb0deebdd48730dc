"""Networks: which one a setting chooses, its layers, and where its weights start."""

import pytest
import torch
from helpers.configs import config_of

from genbench.nn import networks
from genbench.settings.groups import NetworkSettings
from genbench.utils.errors import UserError
from genbench.utils.rng import generator

USUAL = {"network": "mlp", "hidden": [5, 7], "channels": 4, "dense": 64, "activation": "relu"}


@pytest.mark.parametrize(("dataset", "chosen"), [("digits", "conv"), ("moons", "mlp")])
def test_images_are_convolved_unless_something_else_is_asked_for(dataset, chosen):
    assert config_of("vae", dataset=dataset)["network"] == chosen
    assert config_of("vae", "network=mlp", dataset=dataset)["network"] == "mlp"


def linear(net):
    """What a network computes, if its activations are taken away."""
    return [layer for layer in net if isinstance(layer, torch.nn.Linear)]


def test_layers_are_normalised_each_point_by_itself():
    s = NetworkSettings.from_checked(USUAL | {"norm": "layer"})
    for net in (networks.encoder((3,), 2, s), networks.decoder(3, (2,), s)):
        x = torch.randn(6, 3, generator=generator(0))
        h = x
        for i, layer in enumerate(layers := linear(net)):
            h = layer(h)
            if i < len(layers) - 1:
                h = torch.nn.functional.layer_norm(h, h.shape[1:]).relu()
        torch.testing.assert_close(net(x), h)
    conv = networks.encoder(
        (1, 16, 16), 2, NetworkSettings.from_checked(USUAL | {"network": "conv", "norm": "layer"})
    )
    x = torch.randn(6, 1, 16, 16, generator=generator(0))
    torch.testing.assert_close(
        conv(x)[:1], conv(x[:1]), msg="a point is normalised without the others"
    )
    first = torch.nn.functional.layer_norm(conv[0](x), (4, 8, 8))
    torch.testing.assert_close(conv[:2](x), first)


@pytest.mark.parametrize(("dense", "widths"), [(10, [4 * 4 * 8, 10, 3]), (0, [4 * 4 * 8, 3])])
def test_the_fully_connected_layer_beside_convolutions_is_as_wide_as_one_says(dense, widths):
    s = NetworkSettings.from_checked(USUAL | {"network": "conv", "dense": dense})
    encoder, decoder = (
        linear(networks.encoder((1, 16, 16), 3, s)),
        linear(networks.decoder(3, (1, 16, 16), s)),
    )
    assert [encoder[0].in_features, *(layer.out_features for layer in encoder)] == widths
    assert [decoder[0].in_features, *(layer.out_features for layer in decoder)] == widths[::-1]
    assert networks.decoder(3, (1, 16, 16), s)(torch.zeros(2, 3)).shape == (2, 1, 16, 16)


@pytest.mark.parametrize("side", [1, 5, 7])
def test_images_too_small_to_halve_have_the_fully_connected_layer_alone(side):
    s = NetworkSettings.from_checked(USUAL | {"network": "conv"})
    encoder, decoder = networks.encoder((2, side, 9), 3, s), networks.decoder(3, (2, side, 9), s)
    assert [layer.out_features for layer in linear(encoder)] == [64, 3]
    assert [layer.out_features for layer in linear(decoder)] == [64, 2 * side * 9]
    assert decoder(encoder(torch.zeros(4, 2, side, 9))).shape == (4, 2, side, 9)
    with pytest.raises(UserError, match="needs images or signals, and points have the shape 9"):
        networks.encoder((9,), 3, s)


@pytest.mark.parametrize(("length", "layers"), [(7, 0), (15, 0), (16, 1), (97, 2), (260, 3)])
def test_signals_are_quartered_and_come_back_in_their_length(length, layers):
    s = NetworkSettings.from_checked(USUAL | {"network": "conv"})
    encoder, decoder = networks.encoder((2, length), 3, s), networks.decoder(3, (2, length), s)
    halvings = [layer for layer in encoder if isinstance(layer, torch.nn.Conv1d)]
    assert len(halvings) == layers
    z = encoder(torch.zeros(4, 2, length))
    assert z.shape == (4, 3) and decoder(z).shape == (4, 2, length)


@pytest.mark.parametrize("network", ["mlp", "conv"])
def test_initial_weights_have_the_standard_deviation_that_is_asked_for(network):
    torch.manual_seed(0)
    s = NetworkSettings.from_checked(
        USUAL
        | {"network": network, "hidden": [200], "channels": 16, "norm": "layer", "init_std": 0.02}
    )
    for net in (networks.encoder((1, 16, 16), 9, s), networks.decoder(9, (1, 16, 16), s)):
        for name, weight in net.named_parameters():
            if weight.dim() > 1:
                assert weight.std().item() == pytest.approx(0.02, rel=0.15), name
                assert abs(weight.mean().item()) < 0.004
            else:  # biases; and the scale of a normalisation, which stays one
                assert weight.unique().tolist() in ([0.0], [1.0]), name
