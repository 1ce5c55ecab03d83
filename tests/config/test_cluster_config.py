"""What a configuration may say of workers."""

from __future__ import annotations

import pytest
import yaml

from cellharness.config.cluster import ClusterConfig, on_scheduler
from cellharness.config.reading import ConfigError
from cellharness.config.run import load_config


def read(path, cluster):
    config = {
        "name": "try",
        "dataset": {"phantom": {}},
        "methods": [{"name": "otsu", "method": "otsu-watershed"}],
        "cluster": cluster,
    }
    path.write_text(yaml.safe_dump(config))
    return load_config(path)


@pytest.mark.parametrize(
    ("cluster", "told"),
    [
        ({"kind": "slrum"}, "Did you mean 'slurm'"),
        ({"worker": 3}, "Did you mean 'workers'"),
        ({"scheduler": "tcp://a:1", "workers": 3}, "workers with 'scheduler'"),
        ({"job": {"cores": 2}}, "'job' is for a job queue"),
        ({"workers": 2, "at_least": 3}, "at_least 3 is above workers 2"),
        ({"gpu": True, "at_least": 1}, "at_least does not go with the GPUs"),
        ({"workers": 0}, "greater than or equal to 1"),
    ],
)
def test_what_does_not_go_together_is_refused(tmp_path, cluster, told):
    with pytest.raises(ConfigError, match=told):
        read(tmp_path / "config.yaml", cluster)


def test_a_scheduler_takes_the_place_of_what_is_configured(tmp_path):
    config = read(tmp_path / "config.yaml", {"kind": "pbs", "workers": 9, "gpu": True})
    assert on_scheduler(config, None) is config
    cluster = on_scheduler(config, "tcp://a:1").cluster
    assert cluster == ClusterConfig(scheduler="tcp://a:1", gpu=True)


def test_what_a_run_wrote_down_can_be_run_again(tmp_path):
    config = read(tmp_path / "config.yaml", {"workers": 3, "gpu": True})
    written = config.model_dump(mode="json", exclude_none=True)
    (tmp_path / "again.yaml").write_text(yaml.safe_dump(written))
    assert load_config(tmp_path / "again.yaml").cluster == config.cluster
