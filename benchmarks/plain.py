"""A loop as in torchvision's references/classification/train.py: PIL, torchvision's transforms, a DataLoader, float32, channels first, SGD.

Everything is done anew in every epoch; a part that does not train still goes through the whole network. It loads in its own process, as the engine
does where there are few cores: loader processes of its own would fight it for them.
"""

from __future__ import annotations

from collections.abc import Callable


def plain_loop(module, trained: set[str] | None, data: str, batch_size: int) -> tuple[Callable[[], None], Callable[[], None]]:
    """(an epoch of training, a pass over the validation images) of a network on `data`/train and `data`/val. `trained` names the parameters that train;
    None for all."""
    import torch
    from torch.utils.data import DataLoader
    from torchvision import transforms as tf
    from torchvision.datasets import ImageFolder

    norm = tf.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    train_view = tf.Compose([tf.RandomResizedCrop(224), tf.RandomHorizontalFlip(), tf.ToTensor(), norm])
    test_view = tf.Compose([tf.Resize(256), tf.CenterCrop(224), tf.ToTensor(), norm])
    train = DataLoader(ImageFolder(f"{data}/train", train_view), batch_size, shuffle=True)
    test = DataLoader(ImageFolder(f"{data}/val", test_view), batch_size)
    for name, parameter in module.named_parameters():
        parameter.requires_grad_(trained is None or name in trained)
    optimiser = torch.optim.SGD([p for p in module.parameters() if p.requires_grad], lr=0.01, momentum=0.9, weight_decay=1e-4)
    loss_of = torch.nn.CrossEntropyLoss()

    def train_epoch() -> None:
        module.train()
        for images, labels in train:
            optimiser.zero_grad()
            loss_of(module(images), labels).backward()
            optimiser.step()

    def validate() -> None:
        module.eval()
        with torch.inference_mode():
            for images, labels in test:
                loss_of(module(images), labels).item()

    return train_epoch, validate
