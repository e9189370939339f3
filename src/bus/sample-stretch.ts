/** Which offsets a sample of a topic is made of. */

/** What a partition holds: from its first offset to before its end. */
export interface HeldStretch {
  readonly partition: number;
  readonly first: bigint;
  readonly end: bigint;
}

/** The newest `count` offsets, as evenly over the partitions as what they hold allows. */
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
