import '@kusto/language-service-next/bridge.js';
import '@kusto/language-service-next';

/** The part of Microsoft's language service that is used here; it makes itself known as a global. */
interface KustoGlobal {
  readonly Kusto: {
    readonly Language: {
      readonly GlobalState: { readonly Default: Globals };
      readonly KustoCode: { ParseAndAnalyze(query: string, globals: Globals): Code };
      readonly Symbols: {
        readonly TableSymbol: { From(schema: string): { WithName(name: string): Table } };
        readonly DatabaseSymbol: { readonly ctor: new (name: string, tables: readonly Table[]) => Database };
      };
    };
  };
}
type Table = object;
type Database = object;
interface Globals {
  WithDatabase(database: Database): Globals;
}
interface List<T> {
  readonly Count: number;
  getItem(at: number): T;
}
interface Code {
  GetDiagnostics(): List<{ readonly Message: string; readonly Start: number }>;
  readonly ResultType?: {
    readonly Columns: List<{ readonly Name: string; readonly Type: { readonly Name: string } }>;
  };
}

/** Columns that every table of an Application Insights resource has. */
const common = `timestamp: datetime, itemType: string, customDimensions: dynamic, customMeasurements: dynamic,
  operation_Name: string, operation_Id: string, operation_ParentId: string, operation_SyntheticSource: string,
  session_Id: string, user_Id: string, user_AuthenticatedId: string, user_AccountId: string,
  application_Version: string, client_Type: string, client_Model: string, client_OS: string, client_IP: string,
  client_City: string, client_StateOrProvince: string, client_CountryOrRegion: string, client_Browser: string,
  cloud_RoleName: string, cloud_RoleInstance: string, appId: string, appName: string, iKey: string,
  sdkVersion: string, itemId: string, itemCount: int, _ResourceId: string`;

/** The tables that the queries read, as the Azure Monitor reference lists them for an Application Insights resource. */
const tables: Readonly<Record<string, string>> = {
  customMetrics: `name: string, value: real, valueCount: int, valueSum: real, valueMin: real, valueMax: real,
    valueStdDev: real`,
  traces: 'message: string, severityLevel: int',
  requests: `id: string, source: string, name: string, url: string, success: string, resultCode: string,
    duration: real, performanceBucket: string`,
  dependencies: `id: string, target: string, type: string, name: string, data: string, success: string,
    resultCode: string, duration: real, performanceBucket: string`,
  exceptions: `problemId: string, handledAt: string, type: string, message: string, assembly: string,
    method: string, outerType: string, outerMessage: string, outerAssembly: string, outerMethod: string,
    innermostType: string, innermostMessage: string, innermostAssembly: string, innermostMethod: string,
    severityLevel: int, details: dynamic`,
};

const { Kusto } = globalThis as unknown as KustoGlobal;
const { GlobalState, KustoCode, Symbols } = Kusto.Language;
const insights = GlobalState.Default.WithDatabase(
  new Symbols.DatabaseSymbol.ctor(
    'insights',
    Object.entries(tables).map(([name, columns]) =>
      Symbols.TableSymbol.From(`(${common}, ${columns})`).WithName(name),
    ),
  ),
);

/** A query bound to the tables of an Application Insights resource. */
export interface BoundQuery {
  /** What is wrong with it, each a sentence with the text that it is about. */
  readonly problems: readonly string[];
  /** The columns of its result, by name, with their types. */
  readonly columns: ReadonlyMap<string, string>;
}

/** Parses a KQL query and binds every name in it; nothing is run. */
export function bindQuery(query: string): BoundQuery {
  const code = KustoCode.ParseAndAnalyze(query, insights);
  return {
    problems: items(code.GetDiagnostics()).map(
      ({ Message, Start }) => `${Message} At: ${query.slice(Start, Start + 40)}`,
    ),
    columns: new Map(
      code.ResultType === undefined
        ? []
        : items(code.ResultType.Columns).map(({ Name, Type }) => [Name, Type.Name]),
    ),
  };
}

function items<T>(list: List<T>): T[] {
  return Array.from({ length: list.Count }, (_, at) => list.getItem(at));
}
