"""What a flow learns live: `python benchmarks/flow_live.py digits|shapes [seconds] [first seed] [seeds]`, on one thread.

As many steps as fit into so many seconds of one core's time (by the time of the first ones, so that a busy machine does not change
it), along a cosine. Prints for each seed and guidance scale, of 1,000 samples, the classes in turn: the share that the judge reads as
the class asked for, and the FID against 1,000 test pictures on the judge's features (not comparable with published FID).
"""

import sys
import time

import torch

import aigc_lessons as al

SETTINGS = {"digits": (10, 120, (1.0, 1.5)), "shapes": (18, 180, (1.0, 2.0))}
BATCH, TIMED = 32, 20


def model(train, n_classes, seed):
    torch.manual_seed(seed)
    return al.models.Flow(train.images.shape[1:], n_classes)


def steps_in(seconds, train, n_classes):
    """How many steps one core takes in so many seconds of its time."""
    net = model(train, n_classes, 0)
    al.fit(net, train, steps=5, batch_size=BATCH, progress=False)
    began = time.process_time()
    al.fit(net, train, steps=TIMED, batch_size=BATCH, progress=False)
    return int(seconds * TIMED / (time.process_time() - began))


def main(name="digits", seconds=None, first=0, seeds=3):
    torch.set_num_threads(1)
    n_classes, usual, scales = SETTINGS[name]
    train, test = (al.data.load(name, size=32, split=split) for split in ("train", "test"))
    steps = steps_in(int(seconds or usual), train, n_classes)
    judge = al.shipped(f"classifier-{name}").cpu()
    labels = torch.arange(1_000) % n_classes
    embed = lambda images: judge.embed(images)
    for seed in range(int(first), int(first) + int(seeds)):
        net, began = model(train, n_classes, seed), time.process_time()
        schedule = al.training.cosine(steps, warmup=steps // 30)
        al.fit(net, train, steps=steps, batch_size=BATCH, seed=seed, schedule=schedule, progress=False)
        spent = time.process_time() - began
        for scale in scales:
            began = time.process_time()
            samples = net.sample(1_000, seed=1, labels=labels, guidance_scale=scale, steps=5)
            rate = 1_000 / (time.process_time() - began)
            right = (judge.predict(samples).argmax(1) == labels).float().mean().item()
            fid = al.metrics.fid(embed(samples), embed(test.images[:1_000]))
            print(
                f"{name}, seed {seed}, {steps} steps in {spent:.0f} s of one core, guidance {scale}: accuracy {right:.3f}, "
                f"FID {float(fid):.1f}, {rate:.0f} samples a second",
                flush=True,
            )


if __name__ == "__main__":
    main(*sys.argv[1:])
