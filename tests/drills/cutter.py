"""A proxy before Redis that can lose replies: what was asked has been done, but whoever asked does not learn of it."""
import random
import selectors
import socket
import threading


class Cutter:
    """Listens on one Unix socket and forwards to another; `cut()` makes the next reply of some connection be lost."""

    def __init__(self, path, target, seed):
        self.path, self._target = path, target
        self._random = random.Random(seed)
        self._selector = selectors.DefaultSelector()
        self._pairs = []
        self._cuts = 0
        self.lost = 0  # replies
        self._lock = threading.Lock()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(path)
        self._listener.listen(64)
        self._selector.register(self._listener, selectors.EVENT_READ, self._accept)
        self._running = True
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def cut(self):
        with self._lock:
            self._cuts += 1

    def stop(self):
        self._running = False
        self._thread.join()
        for pair in list(self._pairs):
            self._close(pair)
        self._listener.close()

    def _run(self):
        while self._running:
            for key, _ in self._selector.select(0.1):
                if key.fileobj.fileno() >= 0:  # not closed by one before it
                    key.data()

    def _accept(self):
        client, _ = self._listener.accept()
        server = socket.socket(socket.AF_UNIX)
        try:
            server.connect(self._target)
        except OSError:
            client.close()
            server.close()
            return
        pair = (client, server)
        self._pairs.append(pair)
        self._selector.register(client, selectors.EVENT_READ, lambda: self._forward(pair, client, server, False))
        self._selector.register(server, selectors.EVENT_READ, lambda: self._forward(pair, server, client, True))

    def _forward(self, pair, source, sink, is_reply):
        try:
            data = source.recv(262144)
            if not data or (is_reply and self._cuts_this()):
                self._close(pair)
            else:
                sink.sendall(data)
        except OSError:
            self._close(pair)

    def _cuts_this(self):
        """Whether to lose this reply: not always the one at hand, so that busy connections are not the only ones hit."""
        with self._lock:
            if not self._cuts or self._random.random() < 0.5:
                return False
            self._cuts -= 1
            self.lost += 1
            return True

    def _close(self, pair):
        if pair in self._pairs:
            self._pairs.remove(pair)
            for end in pair:
                self._selector.unregister(end)
                end.close()
