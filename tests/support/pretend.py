"""A GPU for machines that have none: tensors that say they are on it, are reckoned with by the processor, and may not
be mixed with those that are not on it.

Unlike fake tensors these hold numbers, so that code which asks for them (`bool`, `item`, `nonzero`) goes on as it does
on a GPU. Found is what a GPU finds first: two devices in one operation, and `numpy()` of a tensor that is not the
processor's. Its kernels, the types it lacks and its memory are not in this.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only
from torch.utils.backend_registration import _DummyBackendModule, _setup_privateuseone_for_python_backend

aten = torch.ops.aten
_library, _rest = torch.library.Library("aten", "IMPL"), torch.library.Library("_", "IMPL")
MOVES = {aten.copy_.default}
"""Operations that are there to cross between devices."""
INDEXED = {
    aten.index.Tensor,
    aten.index_put.default,
    aten.index_put_.default,
    aten._index_put_impl_.default,
    aten._unsafe_index.Tensor,
}
"""Operations whose indices may stay with the processor; what is indexed may not."""
JOINED = {aten.cat.default, aten.stack.default}
"""Operations that take not even a single number from the processor."""


class OnGpu(torch.Tensor):
    """A tensor of the pretended GPU; its numbers are `held` by the processor."""

    held: torch.Tensor
    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, held: torch.Tensor, device: torch.device):
        made = torch.Tensor._make_wrapper_subclass(
            cls,
            held.shape,
            strides=held.stride(),
            storage_offset=held.storage_offset(),
            dtype=held.dtype,
            device=device,
        )
        made.held = held
        return made

    def __repr__(self, **_) -> str:
        return f"OnGpu({self.held})"

    def tolist(self) -> list:
        return self.held.tolist()

    def untyped_storage(self) -> torch.UntypedStorage:  # by which two names of one tensor are found when it is saved
        return self.held.untyped_storage()

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        return _compute(func, args, kwargs or {})


class _Pretending(TorchDispatchMode):
    """Tensors that are made for another device, or moved to it, become the pretended one's."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        return _compute(func, args, kwargs or {})


def _compute(func, args: tuple, kwargs: dict):
    tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
    wrapped = {id(tensor.held): tensor for tensor in tensors if isinstance(tensor, OnGpu)}
    device = next((tensor.device for tensor in wrapped.values()), torch.device("cpu"))
    if func in MOVES:
        device = args[0].device
    elif wrapped:
        _check(func, args, tensors)
    if kwargs.get("device") is not None and kwargs["device"].type != "meta":
        device = kwargs["device"]
        kwargs = kwargs | {"device": torch.device("cpu")} | ({"pin_memory": False} if "pin_memory" in kwargs else {})
    args, kwargs = tree_map_only(OnGpu, lambda tensor: tensor.held, (args, kwargs))
    results = func(*args, **kwargs)
    if device.type in ("cpu", "meta"):
        return results

    def wrap(result: torch.Tensor) -> torch.Tensor:  # what was changed in place is itself again
        return wrapped[id(result)] if id(result) in wrapped else OnGpu(result, device)

    return tree_map_only(torch.Tensor, wrap, results)


def _check(func, args: tuple, tensors: list[torch.Tensor]) -> None:
    """RuntimeError where a tensor of the processor takes part that a GPU would not take: most take a single number."""
    tensors = [args[0], *args[2:3]] if func in INDEXED else tensors
    strangers = [tensor for tensor in tensors if not isinstance(tensor, OnGpu)]
    refused = [tensor for tensor in strangers if tensor.dim() or func in JOINED]
    if refused:
        raise RuntimeError(
            f"Expected all tensors to be on the same device, but {func} got one of shape {tuple(refused[0].shape)} on"
            " cpu, and others on another device"
        )


class _Backend(_DummyBackendModule):
    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.bfloat16]


@contextmanager
def pretended_gpu() -> Iterator[str]:
    """The name of a device that only says it is one. For a process of its own: PyTorch cannot forget a device."""
    _setup_privateuseone_for_python_backend("pretended", _Backend())
    _library.impl("_local_scalar_dense", lambda tensor: tensor.held.item(), "PrivateUse1")  # for torch.Tensor([...])
    _rest.fallback(torch.library.fallthrough_kernel, dispatch_key="AutocastPrivateUse1")  # no types are changed
    torch._C._set_only_lift_cpu_tensors(True)
    torch.__future__.set_overwrite_module_params_on_conversion(True)  # a parameter's own class would stay otherwise
    with _Pretending():
        yield "pretended:0"
