"""Metrics of a running service for Prometheus, on the loopback (the extra `prometheus`)."""

from collections.abc import Iterator
from typing import Any

from inference_service.server.server import Server
from lookbeyond.errors import InputError

TOTALS = {
    "units_done": "Units of work that were finished.",
    "units_failed": "Units of work that failed.",
    "worker_deaths": "Workers that died over a unit.",
    "messages": "Messages that clients sent.",
    "refused": "Messages that were answered with an error.",
    "unhandled": "Messages that caused an internal error.",
    "frames_watched": "Frames that the monitors looked at.",
    "frames_off": "Frames of which a monitor's figure was above its limit.",
    "bytes_sent": "Bytes of results that were sent.",
}


class Collector:
    """What prometheus_client calls at every scrape, in its own thread."""

    def __init__(self, server: Server):
        self._server = server

    def collect(self) -> Iterator[Any]:
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        status, totals = self._server.last_status, dict(self._server.totals)
        for name, text in TOTALS.items():
            yield CounterMetricFamily(f"lookbeyond_{name}", text, value=totals.get(name, 0))
        if status is None:
            return
        jobs = GaugeMetricFamily("lookbeyond_jobs", "Jobs in each state.", labels=["state"])
        for state, count in status.states.items():
            jobs.add_metric([state], count)
        yield jobs
        workers = GaugeMetricFamily("lookbeyond_workers", "Whether a worker is working.", labels=["device"])
        memory = GaugeMetricFamily("lookbeyond_worker_memory_gb", "Memory in use by a worker.", labels=["device", "of"])
        for device in status.devices:
            workers.add_metric([device["name"]], device["state"] == "working")
            for key in ("resident_gb", "device_gb"):
                if key in device:
                    memory.add_metric([device["name"], key.removesuffix("_gb")], device[key])
        yield workers
        yield memory
        yield GaugeMetricFamily("lookbeyond_sessions", "Connected clients.", value=status.sessions)
        yield GaugeMetricFamily("lookbeyond_memory_bytes", "The service's own memory.", value=status.memory_bytes)
        yield GaugeMetricFamily("lookbeyond_eta_seconds", "Until all jobs are done.", value=status.eta_s or 0.0)


def start_metrics(server: Server, port: int) -> Any:
    """Serve the metrics at http://127.0.0.1:port/metrics; returns the HTTP server (`shutdown`, `server_close`).

    InputError if the port is taken or prometheus_client is not installed.
    """
    try:
        import prometheus_client
    except ImportError as error:
        raise InputError("--metrics-port needs prometheus_client; run `pip install lookbeyond[prometheus]`.") from error
    registry = prometheus_client.CollectorRegistry()
    registry.register(Collector(server))
    try:
        http, _ = prometheus_client.start_http_server(port, addr="127.0.0.1", registry=registry)
    except OSError as error:
        raise InputError(f"The port {port} for the metrics is taken ({error.strerror}); choose another.") from error
    return http
