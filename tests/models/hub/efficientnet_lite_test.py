import keras
import numpy as np
import pytest
from keras import ops

from rocmr_keras.models import efficientnet_lite0
from rocmr_keras.models import efficientnet_lite2
from rocmr_keras.models.hub.efficientnet_lite import assign_state_dict


@pytest.fixture(scope="module")
def net():
    return efficientnet_lite0(num_classes=10)


def test_shapes_and_size(net):
    # 4.65 million weights with 1000 classes, as its authors count: without moving statistics.
    counted = sum(int(np.prod(w.shape)) for w in net.trainable_weights)
    assert counted - 1281 * 10 + 1281 * 1000 == 4_652_008
    assert efficientnet_lite0().output.shape == (None, None, None, 1280)
    layer = net.get_layer("blocks_15_bn2")
    assert layer.output.shape[-1] == 320


def test_lite2_is_wider_and_deeper():
    net = efficientnet_lite2(num_classes=10)
    counted = sum(int(np.prod(w.shape)) for w in net.trainable_weights)
    assert counted - 1281 * 10 + 1281 * 1000 == 6_092_072
    widths = [net.get_layer(f"blocks_{i}_bn2").output.shape[-1] for i in (0, 3, 6, 10, 14, 19, 20)]
    assert widths == [16, 24, 48, 88, 120, 208, 352]
    assert net.get_layer("bn1").output.shape[-1] == 1280


def test_weights_of_a_state_dict_by_name(net):
    state = {}
    for layer in net.layers:
        if layer.name == "blocks_1_depthwise_conv":
            state["_blocks.1._depthwise_conv.weight"] = np.ones((96, 1, 3, 3))
    with pytest.raises(ValueError, match="efficientnet_lite0.*of 1 arrays without '_conv_stem"):
        assign_state_dict(net, state)


def test_config(net):
    config = keras.saving.serialize_keras_object(net)
    again = keras.saving.deserialize_keras_object(config)
    assert [tuple(w.shape) for w in again.weights] == [tuple(w.shape) for w in net.weights]
    assert ops.convert_to_numpy(again.get_layer("bn1").moving_variance).shape == (1280,)
