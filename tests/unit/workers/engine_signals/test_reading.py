"""Pages as vLLM 0.32 and Ray 2.60 write them."""

import re

import pytest

from workers.engine_signals.reading import Reading, read, together

VLLM = b"""\
# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="org/tiny"} 7.0
# HELP vllm:num_requests_waiting Number of requests waiting to be processed.
# TYPE vllm:num_requests_waiting gauge
vllm:num_requests_waiting{engine="0",model_name="org/tiny"} 3.0
vllm:num_requests_waiting_by_reason{engine="0",model_name="org/tiny",reason="capacity"} 2.0
vllm:num_requests_waiting_by_reason{engine="0",model_name="org/tiny",reason="deferred"} 1.0
vllm:kv_cache_usage_perc{engine="0",model_name="org/tiny"} 0.421875
vllm:prompt_tokens_total{engine="0",model_name="org/tiny"} 120.0
vllm:prompt_tokens_created{engine="0",model_name="org/tiny"} 1.7638e+09
vllm:generation_tokens_total{engine="0",model_name="org/tiny"} 1.5e+03
vllm:generation_tokens_created{engine="0",model_name="org/tiny"} 1.7638e+09
vllm:request_success_total{engine="0",finished_reason="stop",model_name="org/tiny"} 4.0
"""

SECOND_ENGINE = b"""\
vllm:num_requests_running{engine="1",model_name="org/tiny"} 5.0
vllm:num_requests_waiting{engine="1",model_name="org/tiny"} 0.0
vllm:kv_cache_usage_perc{engine="1",model_name="org/tiny"} 0.9
"""

RAY = b"""\
# TYPE ray_vllm_num_requests_running gauge
ray_vllm_num_requests_running{ReplicaId="a1",SessionName="s",Version="2.60.0",engine="0",model_name="org/tiny"} 4.0
ray_vllm_num_requests_running{ReplicaId="b2",SessionName="s",Version="2.60.0",engine="0",model_name="org/tiny"} 6.0
ray_vllm_num_requests_running{ReplicaId="c3",SessionName="s",Version="2.60.0",engine="0",model_name="other"} 90.0
ray_vllm_num_requests_waiting{ReplicaId="a1",SessionName="s",Version="2.60.0",engine="0",model_name="org/tiny"} 0.0
ray_vllm_num_requests_waiting{ReplicaId="b2",SessionName="s",Version="2.60.0",engine="0",model_name="org/tiny"} 2.0
ray_vllm_num_requests_waiting{ReplicaId="c3",SessionName="s",Version="2.60.0",engine="0",model_name="other"} 50.0
ray_vllm_kv_cache_usage_perc{ReplicaId="a1",engine="0",model_name="org/tiny"} 0.25
ray_vllm_kv_cache_usage_perc{ReplicaId="b2",engine="0",model_name="org/tiny"} 0.5
"""


def test_vllm_s_own_page() -> None:
    assert read(VLLM, "org/tiny") == Reading(running=7, waiting=3, cache_share=0.421875, tokens=1620)


def test_several_engines_behind_one_address_are_one() -> None:
    assert read(VLLM + SECOND_ENGINE, "org/tiny") == Reading(12, 3, 0.9, 1620)


def test_replicas_of_one_model_on_ray_s_page_and_not_the_others() -> None:
    assert read(RAY, "org/tiny") == Reading(running=10, waiting=2, cache_share=0.5)


def test_the_names_of_older_rays() -> None:
    assert read(RAY.replace(b"ray_vllm_", b"ray_vllm:"), "org/tiny") == Reading(10, 2, 0.5)


def test_vllm_counts_under_the_first_of_a_model_s_names() -> None:
    assert read(VLLM, "an-adapter-of-it") == Reading(7, 3, 0.421875, 1620)


def test_a_model_with_quotes_in_its_name() -> None:
    page = VLLM.replace(b"org/tiny", rb"a \"b\" \\c")
    assert read(page + RAY, 'a "b" \\c') == Reading(7, 3, 0.421875, 1620)


@pytest.mark.parametrize(
    ("page", "model"),
    [
        pytest.param(RAY.replace(b"other", b"org/tiny"), "missing", id="a node that has another model"),
        pytest.param(VLLM + VLLM.replace(b"org/tiny", b"two"), "missing", id="two models, neither of them this one"),
        pytest.param(b"", "org/tiny", id="nothing"),
        pytest.param(b'{"detail":"Not Found"}', "org/tiny", id="no metrics"),
        pytest.param(b"process_cpu_seconds_total 3.0\nvllm:num_requests_running 1", "org/tiny", id="no engine's"),
        pytest.param(VLLM.replace(b"num_requests_waiting{", b"num_requests_late{"), "org/tiny", id="half of it"),
    ],
)
def test_pages_that_tell_nothing_of_the_model(page: bytes, model: str) -> None:
    assert read(page, model) is None


@pytest.mark.parametrize("nonsense", ["NaN", "+Inf", "1e999", "-5", "many"])
@pytest.mark.parametrize("sample", [b" 7.0", b" 3.0", b" 0.421875"])
def test_what_can_be_no_count_is_said(sample: bytes, nonsense: str) -> None:
    with pytest.raises(ValueError, match=re.escape(nonsense)):
        read(VLLM.replace(sample, b" " + nonsense.encode()), "org/tiny")


def test_the_addresses_of_a_row_are_one_engine() -> None:
    assert together([Reading(3, 1, 0.5, 10), Reading(4, 0, 0.75, 20)]) == Reading(7, 1, 0.75, 30)
    assert together([]) is None
