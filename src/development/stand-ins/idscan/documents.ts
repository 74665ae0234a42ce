/** One definition, as the vendor's documentation shows it. The ids are arbitrary and constant. */
export const DEFAULT_DEFINITIONS: readonly unknown[] = [
  {
    JourneyDefinitionId: '6f1ae5b6-2f0f-4f0a-9d5c-1b1f4e6f0a01',
    Name: 'Default',
    ChannelType: 2,
    CapturingMedia: 2,
    LastUpdatedDateTime: '2026-01-01T00:00:00',
    IsActive: true,
    EntryDefinitions: [
      {
        JourneyEntryDefinitionId: '6f1ae5b6-2f0f-4f0a-9d5c-1b1f4e6f0a02',
        JourneyDefinitionId: '6f1ae5b6-2f0f-4f0a-9d5c-1b1f4e6f0a01',
        Type: 1,
      },
    ],
  },
]

/** Returns what the stand-in says about an upload that it did not look at. */
export function describeJourney({ initiated, documents }: { readonly initiated: number; readonly documents: number }) {
  // Without a zone, as the vendor writes times.
  const time = new Date(initiated).toISOString().replace('Z', '')
  const document = {
    DocumentCategory: 'Passport',
    DocumentType: 'Passport',
    DocumentName: 'Utopia - Passport',
    IssuingCountryCode: 'UTO',
    IssuingCountryName: 'Utopia',
    IsValidated: 'true',
    ScanDateTime: time,
    HighLevelResult: 'Passed',
    ExtractedFields: [
      { Name: 'FirstName', Value: 'ANNA MARIA' },
      { Name: 'LastName', Value: 'ERIKSSON' },
      { Name: 'DocumentNumber', Value: 'L898902C3' },
    ],
  }
  return {
    HighLevelResult: 'Passed',
    HighLevelResultDetails: ['DOCUMENTVALIDATION:PASSED'],
    InitiatedDateTime: time,
    ProcessedDocuments: Array.from({ length: documents }, () => document),
  }
}
