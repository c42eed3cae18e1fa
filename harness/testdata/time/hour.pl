# Sleeps an hour in each way that there is, in a thread or a child if its
# argument says so, and prints for each by how many seconds its clocks have
# moved on.
use Time::HiRes qw(clock_gettime clock_nanosleep CLOCK_REALTIME CLOCK_MONOTONIC setitimer ITIMER_REAL);
use IO::Poll;
use IO::Select;
use Socket;
$| = 1;
$SIG{ALRM} = sub {};
my $place = shift // '';

my %ways = (
    sleep => sub { sleep 3600 },
    usleep => sub { Time::HiRes::usleep(3600e6) },
    nanosleep => sub { Time::HiRes::nanosleep(3600e9) },
    clock_nanosleep => sub { clock_nanosleep(CLOCK_MONOTONIC, 3600e9) },
    select => sub { select undef, undef, undef, 3600 },
    io_select => sub { pipe my $r, my $w; IO::Select->new($r)->can_read(3600) },
    io_poll => sub { pipe my $r, my $w; my $p = IO::Poll->new; $p->mask($r => POLLIN); $p->poll(3600) },
    rcvtimeo => sub {
        socketpair my $a, my $b, AF_UNIX, SOCK_STREAM, 0;
        setsockopt $a, SOL_SOCKET, SO_RCVTIMEO, pack 'l!l!', 3600, 0;
        sysread $a, my $c, 1;
    },
    system => sub { system 'sleep 3600' },
);
# Signals are the main thread's.
if ($place ne 'thread') {
    $ways{alarm} = sub { alarm 3600; select undef, undef, undef, 7200 };
    $ways{setitimer} = sub { setitimer(ITIMER_REAL, 3600); select undef, undef, undef, 7200 };
}

sub hours {
    for my $name (sort keys %ways) {
        mkdir "/shared/$name"; # so that nobody takes it for one that polls
        my @before = (time, Time::HiRes::time, clock_gettime(CLOCK_MONOTONIC));
        $ways{$name}();
        my @after = (time, Time::HiRes::time, clock_gettime(CLOCK_MONOTONIC));
        printf "%s %s %.0f\n", $name, ('time', 'hires', 'monotonic')[$_], $after[$_] - $before[$_] for 0..2;
    }
}

if ($place eq 'thread') {
    require threads;
    threads->create(\&hours)->join;
} elsif ($place eq 'child') {
    if (!fork) { hours(); exit }
    wait;
} else {
    hours();
}
