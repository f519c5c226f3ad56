import { read } from './documents.ts';

/** A resource that a deployment would make, as the compiler evaluated it. */
export interface PlannedResource {
  readonly type: string;
  readonly name: string;
  readonly tags?: Readonly<Record<string, string>>;
  readonly properties?: Readonly<Record<string, unknown>>;
}

export interface AlertRule {
  /** Without the prefix that all names have. */
  readonly name: string;
  readonly description: string;
  readonly query: string;
  readonly measure: string;
  readonly splitBy: readonly string[];
}

const { predictedResources: resources } = JSON.parse(read('infra', 'main.snapshot.json')) as {
  readonly predictedResources: readonly PlannedResource[];
};

/** Those of a type, such as `Microsoft.Storage/storageAccounts`. */
export function resourcesOf(type: string): PlannedResource[] {
  return resources.filter((resource) => resource.type === type);
}

/** The only one of a type; throws where there is another number. */
export function resourceOf(type: string): PlannedResource {
  const found = resourcesOf(type);
  const [first] = found;
  if (first === undefined || found.length > 1)
    throw new Error(`The snapshot has ${found.length} of ${type}.`);
  return first;
}

/** The last parts of their names: those of a storage account's containers, say. */
export function lastNamesOf(type: string): string[] {
  return resourcesOf(type)
    .map(({ name }) => name.split('/').at(-1) ?? '')
    .toSorted();
}

export function alertRules(): AlertRule[] {
  return resourcesOf('Microsoft.Insights/scheduledQueryRules').map(({ name, properties }) => {
    const { description, criteria } = properties as {
      readonly description: string;
      readonly criteria: {
        readonly allOf: readonly {
          readonly query: string;
          readonly metricMeasureColumn: string;
          readonly dimensions: readonly { readonly name: string }[];
        }[];
      };
    };
    const [criterion] = criteria.allOf;
    if (criterion === undefined) throw new Error(`The alert ${name} has no query.`);
    return {
      name: name.slice(name.indexOf('-') + 1),
      description,
      query: criterion.query,
      measure: criterion.metricMeasureColumn,
      splitBy: criterion.dimensions.map((dimension) => dimension.name),
    };
  });
}
