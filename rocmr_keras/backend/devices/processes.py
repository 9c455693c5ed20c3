"""Processes of one PyTorch training, started by `torchrun`."""

import contextlib
import os

import numpy as np
import torch
import torch.distributed as dist

from rocmr_keras.backend.devices.across import check_whole
from rocmr_keras.backend.devices.across import is_across_devices
from rocmr_keras.backend.finite import changing_variables


def is_group():
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def is_part():
    """Returns whether the rows at hand are those of one of several processes."""
    return is_across_devices() and is_group()


class _Gather(torch.autograd.Function):
    """Concatenates the rows of all processes. Each has a loss: the gradient is of their sum."""

    @staticmethod
    def forward(context, rows):
        parts = [torch.empty_like(rows) for _ in range(dist.get_world_size())]
        dist.all_gather(parts, rows.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(context, gradient):
        gradient = gradient.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(gradient)
        return gradient.chunk(dist.get_world_size())[dist.get_rank()]


def gather(rows):
    """Returns the rows of all processes, in order; differentiable."""
    return _Gather.apply(rows) if is_part() else rows


def replicas(count):
    """Returns how many rows all devices hold, and how many of them come before this one's."""
    if not is_part():
        return count, 0
    return count * dist.get_world_size(), count * dist.get_rank()


def share(total):
    """Returns this process's part of a loss that all compute: gradients are averaged here."""
    return total


def count_replicas(model):
    """Returns on how many devices a step of a model runs, each with rows of its own."""
    return process()[1]


def divides(model, count):
    """Returns whether a batch of so many examples can be divided among the devices."""
    # Each process reads its own.
    return True


def forgot_devices():
    """Returns whether Keras no longer knows the devices: it is not Keras that holds them here."""
    return False


def encodes_alone():
    """Returns whether a model that is made here runs in this process, on all that it is given."""
    return True


def predict_batch(model, batch):
    """Returns what a plain Keras model gives for one batch, a dict of arrays."""
    return model.predict_on_batch(batch)


def process():
    """Returns which of the processes that train together this is, and how many there are."""
    return (dist.get_rank(), dist.get_world_size()) if is_group() else (0, 1)


def gather_numbers(numbers):
    """Returns the numbers of each process, an array `(processes, ...)`; all have one shape."""
    numbers = np.asarray(numbers)
    if not is_group():
        return numbers[None]
    device = torch.cuda.current_device() if dist.get_backend() == "nccl" else "cpu"
    here = torch.from_numpy(np.ascontiguousarray(numbers)).to(device)
    parts = [torch.empty_like(here) for _ in range(dist.get_world_size())]
    dist.all_gather(parts, here)
    return torch.stack(parts).cpu().numpy()


@contextlib.contextmanager
def on_devices(count, weight_parts):
    """Trains inside on so many devices, or on all; see `rocmr_keras.trainers.on_devices`."""
    check_whole(weight_parts)
    world = int(os.environ.get("WORLD_SIZE", 1))
    most = max(torch.cuda.device_count(), 1)
    if count not in (1, None, world) or (count is None and most > world == 1):
        raise ValueError(
            "On PyTorch every device has a process of its own. Received: "
            f"{count or most} devices, {world} process(es). Start it with "
            f"`torchrun --nproc_per_node={count or most}` instead of `python`."
        )
    if world == 1:
        yield 1
        return
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    try:
        yield world
    finally:
        dist.destroy_process_group()


def begin_alike(model):
    """Gives a model the state of process 0, and its weights gradients that are averaged.

    Raises:
        ValueError: If its step is compiled, which may leave the averaging out.
    """
    if model.jit_compile:
        raise ValueError(
            "Several processes average gradients in hooks, which a step of `torch.compile` may "
            "not call. Received: jit_compile=True. Compile with jit_compile=False."
        )
    for variable in changing_variables(model):
        dist.broadcast(variable.value.data, 0)
    # What `Dropout` draws from, of the device that this process computes on.
    cuda = torch.cuda.is_available()
    states = [torch.get_rng_state(), torch.cuda.get_rng_state() if cuda else None]
    dist.broadcast_object_list(states, 0)
    torch.set_rng_state(states[0])
    if cuda:
        torch.cuda.set_rng_state(states[1])
    for variable in model.trainable_variables:
        if not hasattr(variable.value, "averaging"):
            # Before the optimizer looks at a gradient, to clip it.
            variable.value.averaging = variable.value.register_post_accumulate_grad_hook(_average)


def _average(weight):
    if is_group():
        dist.all_reduce(weight.grad)
        weight.grad.div_(dist.get_world_size())
