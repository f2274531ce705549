"""A small convolutional classifier: lesson 13, and later the judge of what generators make."""

import torch
from torch import nn

from ..data import check_images
from ..data.nonsense import mixtures, nonsense
from ..losses import cross_entropy, cross_entropy_to_uniform
from .adversary import update
from .checks import check_batch, check_fits, in_chunks


def feature_network(image_shape, width):
    """Three times convolution, ReLU and max pooling, then 64 features: (N, C, H, W) => (N, 64). H and W multiples of 8."""
    c, h, w = image_shape
    return nn.Sequential(  # (C, 32, 32), say
        nn.Conv2d(c, width, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),  # => (width, 16, 16)
        nn.Conv2d(width, 2 * width, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),  # => (2 width, 8, 8)
        nn.Conv2d(2 * width, 4 * width, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),  # => (4 width, 4, 4)
        nn.Flatten(),
        nn.Linear(4 * width * (h // 8) * (w // 8), 64),
        nn.ReLU(),  # => (64,)
    )


class Classifier(nn.Module):
    """Three times convolution, ReLU and max pooling, then two fully connected layers.

    Args:
        image_shape: (C, H, W); H and W multiples of 8.
        n_classes: K, at least 2.
        width: channels after the first layer; then twice and four times as many.
        dropout: probability of dropping a feature before the last layer.
        weight_decay: how strongly AdamW pulls weights to zero. lr: its learning rate.
        loss: function (logits (N, K), labels (N,)) -> scalar.
        outlier_weight: above 0 it also learns to believe no class where there is nothing to see: noise, flat colour, blobs, and
            mixtures of two classes. For a judge, which must know "none".
    Source: Hendrycks et al. 2019, Deep Anomaly Detection with Outlier Exposure, section 4, for the outliers.
    """

    def __init__(
        self,
        image_shape=(1, 32, 32),
        n_classes=10,
        width=16,
        dropout=0.0,
        weight_decay=0.0,
        lr=2e-3,
        loss=cross_entropy,
        outlier_weight=0.0,
    ):
        super().__init__()
        c, h, w = image_shape
        if h % 8 or w % 8 or min(h, w) < 8:
            raise ValueError(
                f"Classifier(image_shape={tuple(image_shape)}): height and width are halved three times. Accepted: multiples of 8."
            )
        if n_classes < 2:
            raise ValueError(f"Classifier(n_classes={n_classes}): accepted are 2 or more.")
        self.image_shape, self.n_classes = tuple(image_shape), n_classes
        self.weight_decay, self.lr, self.loss, self.outlier_weight = weight_decay, lr, loss, outlier_weight
        self.features = feature_network(image_shape, width)  # => (64,)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(64, n_classes)  # => (K,) logits

    def forward(self, images):
        """(N, C, H, W) in [-1, 1] -> (N, K) logits."""
        check_fits(self, images)
        return self.head(self.dropout(self.features(images)))

    def optimizers(self):
        return {
            "classifier": torch.optim.AdamW(self.parameters(), lr=self.lr, weight_decay=self.weight_decay, fused=True)
        }

    def training_step(self, batch, optimizers):
        images, labels = check_batch(self, batch)
        loss = self.loss(self(images).float(), labels)
        if self.outlier_weight:
            half = max(2, len(images) // 2)
            outliers = torch.cat(
                [nonsense(half, self.image_shape, device=images.device), mixtures(images[:half], labels[:half])]
            )
            loss = loss + self.outlier_weight * cross_entropy_to_uniform(self(outliers).float())
        update(loss, optimizers["classifier"])
        return {"loss": loss.detach()}

    def predict(self, images):
        """Logits (N, K) on the CPU, without dropout, 1,000 images at a time. images: (N, C, H, W) in [-1, 1], on any device."""
        return in_chunks(self, self, check_images(images, "predict"), size=1_000).cpu()

    def embed(self, images):
        """The 64 features (N, 64), on the CPU, that the last layer reads: where pictures of one kind lie close together."""
        return in_chunks(self, self.features, check_images(images, "embed"), size=1_000).cpu()
