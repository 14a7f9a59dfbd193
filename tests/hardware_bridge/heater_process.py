"""A heating holder's controller as a process of its own: lines of text over TCP, a temperature that lags its set point.

SET 350.0 -> OK        READ -> 312.25
"""

import math
import socket
import sys
import time

LAG_S = 0.2


def main() -> None:
    now_K = point_K = float(sys.argv[1])
    at_s = time.monotonic()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        print(f"ready {listening.getsockname()[1]}", flush=True)
        connection, _ = listening.accept()
        with connection, connection.makefile("rw") as lines:
            for line in lines:
                begun_s, at_s = at_s, time.monotonic()
                now_K += (point_K - now_K) * -math.expm1(-(at_s - begun_s) / LAG_S)
                verb, *numbers = line.split()
                if verb == "SET":
                    point_K = float(numbers[0])
                lines.write("OK\n" if verb == "SET" else f"{now_K:.6f}\n")
                lines.flush()


if __name__ == "__main__":
    main()
