/** Chooses the offsets for a sample of a topic. */

/** The offsets that a partition holds: from `first` to before `end`. */
export interface HeldStretch {
  readonly partition: number;
  readonly first: bigint;
  readonly end: bigint;
}

/** Returns the newest `count` offsets as ranges, spread over the partitions as evenly as their contents allow. */
export function newestStretches(
  held: readonly HeldStretch[],
  count: number,
): { partition: number; from: bigint; to: bigint }[] {
  const size = ({ first, end }: HeldStretch): number => Number(end - first);
  let rest = count;
  return [...held]
    .sort((a, b) => size(a) - size(b))
    .map((one, index) => {
      const share = Math.min(size(one), Math.ceil(rest / (held.length - index)));
      rest -= share;
      return { partition: one.partition, from: one.end - BigInt(share), to: one.end };
    })
    .sort((a, b) => a.partition - b.partition);
}
