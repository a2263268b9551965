"""Settings of the embedded server: sized for the machine, safe by default."""

import os
import shutil
from pathlib import Path

_MIB = 1024 * 1024


def _memory_mib() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // _MIB


def _shared_memory_type() -> str:
    """``mmap`` where /dev/shm is as small as in containers: a parallel index build would run out of it."""
    shm = Path("/dev/shm")  # noqa: S108
    return "posix" if shm.exists() and shutil.disk_usage(shm).total >= 1024 * _MIB else "mmap"


def _quote(value: object) -> str:
    return "'" + str(value).replace("\\", "\\\\").replace("'", "''") + "'"


def render_conf(socket_dir: Path, tcp_port: int | None) -> str:
    """The include file of ``postgresql.conf``.

    Args:
        socket_dir: folder of the Unix socket.
        tcp_port: port on 127.0.0.1, or None for no TCP at all.
    """
    memory, cores = _memory_mib(), os.cpu_count() or 1
    settings: dict[str, object] = {
        "unix_socket_directories": _quote(socket_dir),
        "listen_addresses": _quote("127.0.0.1" if tcp_port else ""),
        "password_encryption": "scram-sha-256",
        "dynamic_shared_memory_type": _shared_memory_type(),
        "shared_buffers": f"{min(4096, max(128, memory // 4))}MB",
        "effective_cache_size": f"{max(256, memory // 2)}MB",
        "work_mem": f"{min(64, max(8, memory // 64))}MB",
        "maintenance_work_mem": f"{min(512, max(64, memory // 16))}MB",
        "max_wal_size": "4GB",
        "checkpoint_timeout": "15min",
        # One machine, no replica: bulk writes into tables made in the same transaction need no WAL.
        "wal_level": "minimal",
        "max_wal_senders": 0,
        "random_page_cost": 1.1,
        "jit": "off",
        "max_worker_processes": max(8, cores),
        "max_parallel_workers": cores,
        "max_parallel_workers_per_gather": max(1, cores // 2),
        "max_parallel_maintenance_workers": max(1, cores // 2),
        # The query of a client that was killed would run on without it.
        "client_connection_check_interval": "5s",
        "log_line_prefix": _quote("%m [%p] "),
        "timezone": _quote("UTC"),
    }
    if tcp_port:
        settings["port"] = tcp_port
    return "# Written by recsql at every start.\n" + "".join(f"{key} = {value}\n" for key, value in settings.items())
