# SPDX-License-Identifier: GPL-2.0-only
#
# The picture of "make bench". bench.py defines the data blocks and the name
# of the output, then loads this. The colours are readable on white and on black.
set terminal svg size 960,640 dynamic font 'sans-serif,12'
set output output

grey = '#808080'
set border 3 linecolor rgb grey
set tics nomirror textcolor rgb grey
set title textcolor rgb grey offset 0,-0.5
set xlabel textcolor rgb grey
set ylabel textcolor rgb grey
set key left top textcolor rgb grey samplen 2
set style line 1 linecolor rgb '#1f8fd0' linewidth 2.5 pointtype 7 pointsize 0.5
set style line 2 linecolor rgb '#e0702a' linewidth 2.5 pointtype 7 pointsize 0.5
set style line 3 linecolor rgb '#9060c0' linewidth 2.5 pointtype 7 pointsize 0.5

set multiplot layout 2,3

set logscale xy
set format y '%.0s%c'
set format x '%.0s%c'
set xlabel 'directories of events'
set xrange [80:25000]
set ylabel 'instructions'

set title 'first lookup of a name'
plot $stock_first_stat title 'stock' with linespoints ls 2, \
     $eventfs_first_stat title 'this eventfs' with linespoints ls 1
set title 'lookup of a missing name'
plot $stock_miss_distinct title 'stock' with linespoints ls 2, \
     $eventfs_miss_distinct title 'this eventfs' with linespoints ls 1
set title 'listing, an entry, buffer of 280 bytes'
plot $stock_list_280_bytes title 'stock' with linespoints ls 2, \
     $eventfs_list_280_bytes title 'this eventfs' with linespoints ls 1
set yrange [1000:100000]
set title 'removal of a directory, all cached'
plot $stock_remove_warm title 'stock' with linespoints ls 2, \
     $eventfs_remove_warm title 'this eventfs' with linespoints ls 1

unset logscale
set format '%.0f'
set xlabel ''
set ylabel 'MiB of slab'
set yrange [0:28]
set xrange [-0.6:3.6]
set style fill solid border
set boxwidth 0.25
set xtics ('boot' 0, 'instance' 1, 'all seen' 2, 'dropped' 3)
set title 'memory, as tracing is used'
plot $slab using ($1-0.25):2 title 'v6.1, before eventfs' with boxes ls 3, \
     $slab using 1:3 title 'stock' with boxes ls 2, \
     $slab using ($1+0.25):4 title 'this eventfs' with boxes ls 1

set yrange [0:*]
set xlabel 'CPUs'
set ylabel 'thousand a second'
set xrange [0.5:2.5]
set xtics ('1' 1, '2' 2)
set title 'first lookups in one directory of 8,000'
plot $cpus_stock title 'stock' with yerrorlines ls 2, \
     $cpus_eventfs title 'this eventfs' with yerrorlines ls 1
unset multiplot
