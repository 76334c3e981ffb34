"""Tests of `npblender.common`: conversations, their settings, and batches of inputs."""
