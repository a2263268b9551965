"""A convolutional network over what a user did, served by inner product."""

from typing import ClassVar, cast

from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from workers.models.dropout import Dropout
from workers.models.events import EventInputs, Events, Reads
from workers.models.search import Range, Search
from workers.models.sequence import SequenceConfig, SequenceModel


class NextItNetConfig(SequenceConfig):
    """Hyperparameters of NextItNet."""

    kernel_size: int = Field(3, ge=2)
    """Places that a convolution looks at."""
    dilations: tuple[int, ...] = (1, 4, 1, 4)
    """Distance between the places of each residual block's first convolution; its second one looks twice as far."""


class ResidualBlock(nn.Module):
    """Two causal convolutions, each behind a norm, around which the input passes unchanged."""

    def __init__(self, dim: int, kernel_size: int, dilation: int, dropout: float) -> None:
        super().__init__()
        self.reach = [(kernel_size - 1) * d for d in (dilation, 2 * dilation)]
        self.norms = nn.ModuleList(nn.LayerNorm(dim) for _ in range(2))
        self.convolutions = nn.ModuleList(
            nn.Conv1d(dim, dim, kernel_size, dilation=d) for d in (dilation, 2 * dilation)
        )
        self.dropout = Dropout(dropout)

    def forward(self, states: Tensor) -> Tensor:
        """States of shape ``(n_rows, length, dim)``; what is left of the first place is 0."""
        changed = states
        for norm, convolution, reach in zip(self.norms, self.convolutions, self.reach, strict=True):
            padded = functional.pad(functional.relu(norm(changed)).transpose(1, 2), (reach, 0))
            changed = convolution(padded).transpose(1, 2)
        return states + self.dropout(changed)


class ConvolutionalNetwork(nn.Module):
    """Residual blocks of dilated causal convolutions.

    Args:
        dim: width of all states.
        kernel_size: places that a convolution looks at.
        dilations: of the first convolution of each block.
        dropout: probability, on inputs and after each block.
        reads: as of :class:`EventInputs`.
    """

    def __init__(
        self, *, dim: int, kernel_size: int, dilations: tuple[int, ...], dropout: float, reads: Reads = ()
    ) -> None:
        super().__init__()
        self.inputs = EventInputs(dim, reads)
        self.dropout = Dropout(dropout)
        self.blocks = nn.ModuleList(ResidualBlock(dim, kernel_size, dilation, dropout) for dilation in dilations)
        self.final_norm = nn.LayerNorm(dim)

    def forward(self, events: Events, item_inputs: Tensor) -> Tensor:
        """The state after each place, shape ``(n_rows, length, dim)``; see :class:`SequenceModel`."""
        states = self.dropout(self.inputs(events, item_inputs))
        for block in self.blocks:
            states = block(states)
        return self.final_norm(states)


class NextItNet(SequenceModel):
    """Next-item prediction by dilated causal convolutions.

    ``x ← x + conv_2d(relu(norm(conv_d(relu(norm(x))))))`` for each dilation ``d``, then ``u = LayerNorm(x)[n]`` and
    ``score(u, j) = u · v_j``, with the item vectors of :class:`SequenceModel`. Norms stand before the convolutions,
    where the paper has them behind.

    References:
        Yuan et al., A Simple Convolutional Generative Network for Next Item Recommendation, WSDM 2019.
    """

    name = "nextitnet"
    reads_weights = False
    Config = NextItNetConfig
    search: ClassVar[Search] = {**SequenceModel.search, "kernel_size": Range(2, 5)}

    def new_network(self) -> ConvolutionalNetwork:
        """Residual blocks with fresh weights."""
        c = cast(NextItNetConfig, self.config)
        return ConvolutionalNetwork(
            dim=c.dim, kernel_size=c.kernel_size, dilations=c.dilations, dropout=c.dropout, reads=c.reads
        )
