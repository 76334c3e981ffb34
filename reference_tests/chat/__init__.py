"""Tests of `npblender.chat`: conversations, their settings, and batches of inputs."""
