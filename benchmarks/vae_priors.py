"""How good are a VAE's samples from the prior, by latent size and beta? Real digits, three seeds; a table in Markdown.

    python benchmarks/vae_priors.py [--steps 1500] [--seeds 3]

FID (on the digit judge's features, against the 1,000 test digits) of 1,000 samples z ~ N(0, I), and of 1,000 reconstructions of
training digits, whose codes are real ones: what separates the two is the prior. And the nats that a code holds (KL).
"""

import argparse

import torch

import aigc_lessons as al


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=1_500)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--latents", type=int, nargs="*", default=[4, 8, 16])
    parser.add_argument("--betas", type=float, nargs="*", default=[0.1, 1.0, 2.0])
    given = parser.parse_args()
    torch.set_num_threads(1)
    judge = al.shipped("classifier-digits")
    train, test = (al.data.load("digits", split=split) for split in ("train", "test"))
    real = judge.embed(test.images)
    print(
        "| latent size | beta | FID of samples | FID of reconstructions | KL, nats |\n| --- | --- | --- | --- | --- |"
    )
    for latent_dim in given.latents:
        for beta in given.betas:
            rows = []
            for seed in range(given.seeds):
                al.seed_everything(seed)
                model = al.models.VAE(latent_dim=latent_dim, beta=beta)
                history = al.fit(model, train, steps=given.steps, seed=seed, progress=False)
                with torch.no_grad():
                    codes = model.encode(train.images[:1_000])[0]
                    rebuilt = model.decode(codes)
                rows.append(
                    (
                        al.metrics.fid(judge.embed(model.sample(1_000, seed=1)), real),
                        al.metrics.fid(judge.embed(rebuilt), real),
                        sum(history.losses["kl"][-50:]) / 50,
                    )
                )
            cells = [f"{sum(c) / len(c):.3g} ({min(c):.3g} to {max(c):.3g})" for c in zip(*rows)]
            print(f"| {latent_dim} | {beta:g} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
