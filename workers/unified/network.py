"""The network behind a unified space: one linear map a modality, and how their outputs become one vector."""

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from workers.models.dropout import Dropout
from workers.models.item_weights import History
from workers.models.training import TrainingConfig
from workers.unified.alignment import canonical_maps, principal_components
from workers.unified.inputs import Inputs

_NOISE = 0.01
_FIRST_SCALE = 2.65
_MAX_LOG_SCALE = 4.6


class UnifiedConfig(TrainingConfig):
    """Hyperparameters of the projections; those of the loop are its own."""

    dim: int = Field(256, ge=2)
    """Width of the space."""
    components: int = Field(256, ge=1)
    """Principal components of each modality that are read."""
    ridge: float = Field(3.0, gt=0)
    """Of the canonical correlations that training begins with, in mean variances of a modality."""
    input_dropout: float = Field(0.2, ge=0, lt=1)
    """Probability with which a component is dropped in training."""
    modality_dropout: float = Field(0.5, ge=0, lt=1)
    """Probability with which one of an item's modalities is left out in training; one always stays."""
    aligned: float = Field(0.3, ge=0)
    """Weight of the contrast between the modalities of an item; that of what is consumed together is 1."""
    temperature: float = Field(0.2, gt=0)
    """Of the contrast between modalities: the lower, the sooner single pairs are learnt by heart."""
    history: History = History(decay="geometric", rate=0.8, length=10)
    """What stands for a user who is to meet the next item: as ``recsql.query_vector`` reads content spaces."""
    batch_size: int = Field(4096, ge=2)
    """Events, and as many items with several modalities, in one step."""
    targets_per_user: int = Field(20, ge=1)
    """Events of a user that an epoch predicts at most, drawn anew each time."""
    validation_share: float = Field(0.1, ge=0, le=0.5)
    """Share of the items that is held out of training altogether, to tell when to stop; the kept number of epochs then
    trains on all of them."""
    max_items: int = Field(200_000, ge=2)
    """Items to learn from at most, drawn at random from a larger catalogue: a projection needs no more."""
    learning_rate: float = Field(0.001, gt=0)
    """Step of AdamW after the warm-up."""
    warmup_steps: int = Field(20, ge=0)
    """Steps over which the learning rate rises to its full height."""
    epochs: int = Field(12, ge=1)
    """Passes over the data: at most so many with items to stop by, exactly so many without."""
    patience: int = Field(3, ge=1)
    """Epochs without a better NDCG@10 among the held-out items after which training stops."""


class Tower(nn.Module):
    """From the vector of one modality to a unit vector of the space: ``e = z / |z|``, ``z = W P (x - mean)``.

    ``P`` are the first principal components of the vectors: computed, not learnt.
    """

    def __init__(self, n_inputs: int, config: UnifiedConfig) -> None:
        super().__init__()
        n_components = min(n_inputs, config.components)
        self.mean: Tensor
        self.components: Tensor
        self.register_buffer("mean", torch.zeros(n_inputs))
        self.register_buffer("components", torch.zeros(n_inputs, n_components))
        self.linear = nn.Linear(n_components, config.dim, bias=False)
        self.dropout = Dropout(config.input_dropout)

    def reduce(self, vectors: Tensor) -> Tensor:
        """Principal components, shape ``(n_items, n_components)``, of vectors of shape ``(n_items, n_inputs)``."""
        return (vectors - self.mean) @ self.components

    def forward(self, reduced: Tensor) -> Tensor:
        """Shape ``(n_items, dim)`` from what :meth:`reduce` gave."""
        return functional.normalize(self.linear(self.dropout(reduced)), dim=1)


class Network(nn.Module):
    """All that is learnt: a tower and a weight for each input, and the temperature of what is consumed together.

    Args:
        widths: length of each input's vectors.
        config: the hyperparameters.
    """

    def __init__(self, widths: list[int], config: UnifiedConfig) -> None:
        super().__init__()
        self.towers = nn.ModuleList(Tower(width, config) for width in widths)
        self.weights = nn.Parameter(torch.zeros(len(widths)))
        self.log_scale = nn.Parameter(torch.tensor(_FIRST_SCALE))
        self._config = config

    def start(self, inputs: Inputs) -> None:
        """Compute principal components, and begin with the canonical correlations of these items."""
        towers = self._towers()
        for number, tower in enumerate(towers):
            own, _ = inputs.of_both(number, number)
            if len(own):
                mean, components = principal_components(own, tower.components.shape[1])
                tower.mean.copy_(mean)
                tower.components.copy_(components)
        reduced = self.reduce(inputs)
        maps = canonical_maps(reduced, self._config.dim, self._config.ridge)
        with torch.no_grad():
            for number, (tower, weight) in enumerate(zip(towers, maps, strict=True)):
                own, _ = reduced.of_both(number, number)
                length = (own @ weight).pow(2).sum(dim=1).mean().sqrt() if len(own) else torch.ones(())
                # Without noise, what there is no correlation for would stay 0.
                noise = _NOISE * torch.randn(weight.shape).to(weight.device) / weight.shape[1] ** 0.5
                tower.linear.weight.copy_((weight / length.nan_to_num(1).clamp(min=1e-6) + noise).T)

    def reduce(self, inputs: Inputs) -> Inputs:
        """Principal components in place of vectors, 0 where an item has none."""
        reduced = [tower.reduce(vectors) for tower, vectors in zip(self._towers(), inputs.vectors, strict=True)]
        return Inputs([x * inputs.is_there[:, [n]] for n, x in enumerate(reduced)], inputs.is_there)

    def parts(self, reduced: Inputs) -> Tensor:
        """What each tower makes of items: unit vectors, shape ``(n_items, n_towers, dim)``, 0 for what is missing."""
        outputs = [tower(vectors) for tower, vectors in zip(self.towers, reduced.vectors, strict=True)]
        return torch.stack(outputs, dim=1) * reduced.is_there.unsqueeze(2)

    def forward(self, reduced: Inputs) -> Tensor:
        """Unit vectors of items, shape ``(n_items, dim)``; in training modalities are dropped."""
        is_there = reduced.is_there
        weights = functional.softplus(self.weights) * is_there
        if self.training and self._config.modality_dropout and len(self.towers) > 1:
            draws = torch.rand(is_there.shape).to(is_there.device).masked_fill(~is_there, -1)
            # The one that drew highest stays.
            stays = (draws >= self._config.modality_dropout) | (draws == draws.amax(dim=1, keepdim=True))
            weights = weights * stays
        return functional.normalize((self.parts(reduced) * weights.unsqueeze(2)).sum(dim=1), dim=1)

    def scale(self) -> Tensor:
        """What cosines between users and items are multiplied by before the softmax, at most about 100."""
        return self.log_scale.clamp(max=_MAX_LOG_SCALE).exp()

    def _towers(self) -> list[Tower]:
        return [tower for tower in self.towers if isinstance(tower, Tower)]
