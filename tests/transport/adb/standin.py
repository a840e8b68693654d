"""A stand-in for Google's ``adb`` and the devices it would reach, run as a program of its own.

It behaves as the real one for the verbs that slmdeploy uses, as these are described by
``adb help`` (1.0.41), by https://developer.android.com/tools/adb, and by the sources that the
Android Open Source Project publishes: ``adb/client/commandline.cpp`` (options of ``shell``; 255
when the device goes away before it sent an exit code), ``adb/daemon/shell_service.cpp`` (a
session of its own, ``/system/bin/sh -c``, 128 plus the signal, SIGHUP when the host goes away;
stderr apart only with the shell protocol), ``adb/client/file_sync_client.cpp`` (push, pull) and
``adb/transport.cpp`` (words for what cannot be reached). Nothing was run against a phone.

A device is a table in ``devices.json`` of the folder that STANDIN_ADB names. Its commands run on
this computer, with the small tools of ``tools`` there on PATH and nothing else.
"""

# ruff: noqa: T201  it is a program, and prints
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

FOLDER = Path(os.environ["STANDIN_ADB"])
BLOCK = 65536
UNAUTHORIZED = """device unauthorized.
This adb server's $ADB_VENDOR_KEYS is not set
Try 'adb kill-server' if that seems wrong.
Otherwise check for a confirmation dialog on your device."""
NO_PERMISSIONS = """insufficient permissions for device: are your udev rules wrong?
See [http://developer.android.com/tools/device.html] for more information"""


def main(words):
    serial = None
    if words[:1] == ["-s"]:
        serial, words = words[1], words[2:]
    verb, rest = (words or ["help"])[0], words[1:]
    (FOLDER / "calls").open("a").write(json.dumps([serial, verb, *rest]) + "\n")
    if "server_down" in settings():
        print("* daemon not running; starting now at tcp:5037", file=sys.stderr)
        print("* failed to start daemon\nerror: cannot connect to daemon", file=sys.stderr)
        return 1
    if verb in OWN:
        return OWN[verb](*rest)
    if verb not in VERBS or (verb == "features" and "features" not in settings()):
        return fail(f"unknown command {verb}")
    return VERBS[verb](chosen(serial), rest)


def settings():
    return json.loads((FOLDER / "settings.json").read_text())


def attached():
    return json.loads((FOLDER / "devices.json").read_text())


def fail(text, code=1):
    print(f"error: {text}", file=sys.stderr)
    sys.exit(code)


def get_state(device, _words):
    print(device["state"])
    return 0


def features(device, _words):
    print("\n".join(device["features"]))
    return 0


def devices(_long="-l"):
    print("List of devices attached")
    for serial, device in attached().items():
        print(f"{serial:<22} {device['state']} product:standin model:Stand_in transport_id:1")
    print()
    return 0


def connect(address):
    known = attached()
    reachable = settings().get("reachable", {})
    if address in reachable:
        (FOLDER / "devices.json").write_text(json.dumps({**known, address: reachable[address]}))
        print(f"connected to {address}")
    else:
        print(f"failed to connect to '{address}': Connection refused")
    return 0


def chosen(serial):
    known = attached()
    if serial is None and len(known) != 1:
        fail("more than one device/emulator" if known else "no devices/emulators found")
    if serial is None:
        serial = next(iter(known))
    if serial not in known:
        fail(f"device '{serial}' not found")
    state = known[serial]["state"]
    words = {"unauthorized": UNAUTHORIZED, "no permissions": NO_PERMISSIONS}
    if state in {"offline", "authorizing"}:
        fail(f"device {'still ' if state == 'authorizing' else ''}{state}")
    if state in words:
        fail(words[state])
    return {**known[serial], "serial": serial}


def shell(device, words):
    options = [word for word in words[:1] if word in {"-T", "-t", "-x", "-n"}]
    words = words[len(options) :]
    protocol = "shell_v2" in device["features"] and "-x" not in options
    code = run(device, " ".join(words), apart=protocol, stdin="-n" not in options)
    return code if protocol else 0


def exec_out(device, words):
    run(device, " ".join(words), apart=False, stdin=False)
    return 0


def exec_in(device, words):
    run(device, " ".join(words), apart=False, stdin=True, stdout=subprocess.DEVNULL)
    return 0


def run(device, line, *, apart, stdin, stdout=subprocess.PIPE):
    tools = str(FOLDER / "tools")
    child = subprocess.Popen(
        [f"{tools}/sh", "-c", line],
        stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
        stdout=stdout,
        stderr=subprocess.PIPE if apart else subprocess.STDOUT,
        start_new_session=True,
        cwd="/",
        env={"PATH": tools, "HOME": "/", "SHELL": f"{tools}/sh", "TMPDIR": "/data/local/tmp"},
    )
    if stdin:
        threading.Thread(target=feed, args=(child,), daemon=True).start()
    pumps = [
        threading.Thread(target=pump, args=(pipe, number), daemon=True)
        for pipe, number in ((child.stdout, 1), (child.stderr, 2))
        if pipe is not None
    ]
    for one in pumps:
        one.start()
    while any(one.is_alive() for one in pumps) or child.poll() is None:
        if device["serial"] not in attached():
            gone(child)
        for one in pumps:
            one.join(0.02)
        if not pumps or child.poll() is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(0.02)
    return child.returncode if child.returncode >= 0 else 128 - child.returncode


def gone(child):
    child.send_signal(signal.SIGHUP)
    os._exit(255)


def feed(child):
    cut = settings().get("cut_after_bytes")
    taken = 0
    while data := os.read(0, BLOCK):
        taken += len(data)
        if cut is not None and taken > cut:
            (FOLDER / "devices.json").write_text("{}")
            gone(child)
        try:
            child.stdin.write(data)
            child.stdin.flush()
        except OSError:
            return
    with contextlib.suppress(OSError):
        child.stdin.close()


def pump(pipe, number):
    while data := os.read(pipe.fileno(), BLOCK):
        view = memoryview(data)
        while view:
            view = view[os.write(number, view) :]


def push(device, words):
    source, place = Path(words[0]), Path(words[1])
    if not source.exists():
        print(f"adb: error: cannot stat '{source}': No such file or directory", file=sys.stderr)
        return 1
    target = place / source.name if place.is_dir() else place
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
        target.chmod(source.stat().st_mode & 0o777)
    except OSError as error:
        print(
            f"adb: error: failed to copy '{source}' to '{place}': remote {error.strerror}",
            file=sys.stderr,
        )
        return 1
    print(f"{source}: 1 file pushed, 0 skipped. 1.0 MB/s ({source.stat().st_size} bytes in 1.0s)")
    return 0


def pull(device, words):
    source, place = Path(words[0]), Path(words[1])
    if not source.exists():
        print(
            f"adb: error: failed to stat remote object '{source}': No such file or directory",
            file=sys.stderr,
        )
        return 1
    shutil.copyfile(source, place)
    print(f"{source}: 1 file pulled, 0 skipped.")
    return 0


OWN = {"devices": devices, "connect": connect}
VERBS = {
    "get-state": get_state,
    "features": features,
    "shell": shell,
    "exec-out": exec_out,
    "exec-in": exec_in,
    "push": push,
    "pull": pull,
}

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
