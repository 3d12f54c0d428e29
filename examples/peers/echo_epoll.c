// An echo server in C on epoll: level-triggered, on one thread.
//
//     cc -O2 -o target/peers/echo-epoll examples/peers/echo_epoll.c && target/peers/echo-epoll 7007
//
// All connections share one buffer. A connection owns memory only while a slow reader has not taken its bytes, and it
// is not read meanwhile.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

struct peer {
    int fd;
    char *unsent; // NULL if all is written
    size_t len, written;
};

static int epoll, listener;
static char buffer[64 * 1024];

static int watch(int operation, int fd, unsigned events, struct peer *peer) {
    struct epoll_event event = {.events = events, .data.ptr = peer};
    return epoll_ctl(epoll, operation, fd, &event);
}

static void drop(struct peer *peer) {
    close(peer->fd);
    free(peer->unsent);
    free(peer);
    watch(EPOLL_CTL_MOD, listener, EPOLLIN, NULL); // a descriptor is free
}

static void accept_all(void) {
    for (;;) {
        int on = 1, fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            // Without a free descriptor, the listener would be ready at once, again and again.
            if (errno == EMFILE || errno == ENFILE) watch(EPOLL_CTL_MOD, listener, 0, NULL);
            if (errno == ECONNABORTED || errno == EINTR) continue;
            return;
        }
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        struct peer *peer = calloc(1, sizeof *peer);
        if (peer) peer->fd = fd;
        if (!peer || watch(EPOLL_CTL_ADD, fd, EPOLLIN, peer) < 0) {
            free(peer);
            close(fd);
        }
    }
}

// Writes as much as possible. Returns the number of bytes, or -1 if the connection is lost.
static ssize_t write_some(int fd, const char *bytes, size_t len) {
    ssize_t count = send(fd, bytes, len, MSG_NOSIGNAL);
    return count < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : count;
}

// Returns 0 if the connection has ended.
static int read_and_echo(struct peer *peer) {
    ssize_t len = recv(peer->fd, buffer, sizeof buffer, 0);
    if (len < 0) return errno == EAGAIN || errno == EINTR;
    ssize_t written = write_some(peer->fd, buffer, (size_t)len);
    if (len == 0 || written < 0) return 0;
    if (written == len) return 1;
    peer->len = (size_t)(len - written);
    peer->written = 0;
    peer->unsent = malloc(peer->len);
    if (!peer->unsent) return 0;
    memcpy(peer->unsent, buffer + written, peer->len);
    return watch(EPOLL_CTL_MOD, peer->fd, EPOLLOUT, peer) == 0;
}

// Returns 0 if the connection has ended.
static int write_unsent(struct peer *peer) {
    ssize_t count = write_some(peer->fd, peer->unsent + peer->written, peer->len - peer->written);
    if (count < 0) return 0;
    peer->written += (size_t)count;
    if (peer->written < peer->len) return 1;
    free(peer->unsent);
    peer->unsent = NULL;
    return watch(EPOLL_CTL_MOD, peer->fd, EPOLLIN, peer) == 0;
}

static void check(int result, const char *call) {
    if (result < 0) {
        perror(call);
        exit(1);
    }
}

int main(int argc, char **argv) {
    if (argc != 2) {
        fprintf(stderr, "usage: %s PORT\n", argv[0]);
        return 1;
    }
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(argv[1]))};
    socklen_t len = sizeof address;
    int on = 1;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    check(listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), "socket");
    check(setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on), "setsockopt");
    check(bind(listener, (struct sockaddr *)&address, len), "bind");
    check(listen(listener, 1024), "listen");
    check(getsockname(listener, (struct sockaddr *)&address, &len), "getsockname");
    check(epoll = epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
    check(watch(EPOLL_CTL_ADD, listener, EPOLLIN, NULL), "epoll_ctl");
    printf("listening on tcp://127.0.0.1:%d\n", ntohs(address.sin_port));
    fflush(stdout);
    for (;;) {
        static struct epoll_event events[1024];
        int count = epoll_wait(epoll, events, 1024, -1);
        if (errno != EINTR) check(count, "epoll_wait");
        for (int index = 0; index < count; index++) {
            struct peer *peer = events[index].data.ptr;
            if (!peer) accept_all();
            else if (!(peer->unsent ? write_unsent(peer) : read_and_echo(peer))) drop(peer);
        }
    }
}
